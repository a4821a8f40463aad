"""Patterns: regular expressions by RE2, whose time is linear in the text, for what is searched is hostile."""

from functools import lru_cache
from typing import Annotated, Any

import re2
from pydantic import AfterValidator

MOST_TEXT = 1_000_000  # characters of a text that are looked at


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The pattern, ready for use.

    Raises:
        ValueError: if it is none, and where.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        reason = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise ValueError(
            f"{pattern!r} is no RE2 pattern ({reason}); RE2 has no look-around and no back-references"
        ) from error


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text."""
    return compiled(pattern).search(text[:MOST_TEXT]) is not None


def _checked(pattern: str) -> str:
    compiled(pattern)
    return pattern


Pattern = Annotated[str, AfterValidator(_checked)]
