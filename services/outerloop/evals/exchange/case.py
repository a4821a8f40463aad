"""Case: one test of another tool, as far as an eval can say it; and what converters share."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from outerloop.evals.expect.answer import AnswerContains, Answered, AnswerEquals, AnswerMatches
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.model import RecordedCall
from outerloop.runtime.documents import first_problem
from outerloop.runtime.errors import UserError

_HOLE = re.compile(r"\{\{\s*([\w.$-]+)\s*\}\}")


Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """What of a test an eval cannot say; `at` are the keys and numbers (from 0) that lead to it in the file.

    `where` is the file and the line.
    """

    what: str
    at: Place = ()
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`messages` in the GenAI form; `lost` is each thing that an eval cannot say."""

    name: str
    messages: tuple[dict[str, Any], ...]
    expect: tuple[Expectation, ...]
    calls: tuple[RecordedCall, ...] = ()
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What became of one check of another tool: an expectation, or why there is none."""

    expect: Expectation | None = None
    lost: str = ""


def user(text: str) -> tuple[dict[str, Any], ...]:
    """A request of one message."""
    return (message("user", text),)


def message(role: str, content: Any) -> dict[str, Any]:
    """A message in the GenAI form, from the usual one; content may be text or a list of parts."""
    if isinstance(content, list):
        texts = [str(part.get("text", "")) for part in content if isinstance(part, dict)]
        content = "\n".join(filter(None, texts))
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return {"role": "system" if role == "developer" else role, "parts": [{"type": "text", "content": text}]}


def chat(value: Any) -> tuple[dict[str, Any], ...] | None:
    """Messages from a list of {"role", "content"}; None if it is none."""
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(each, dict) and "role" in each and "content" in each for each in value):
        return None
    return tuple(message(str(each["role"]), each["content"]) for each in value)


def filled(template: str, values: Mapping[str, Any]) -> str:
    """The template with `{{name}}` replaced; a name may lead inside, as in `item.label`.

    Raises:
        LookupError: naming what is not known, or is more than a name.
    """

    def value(match: re.Match[str]) -> str:
        found: Any = values
        for step in match[1].split("."):
            if not isinstance(found, Mapping) or step not in found:
                raise LookupError(f"nothing is known of {match[0]}")
            found = found[step]
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    text = _HOLE.sub(value, template)
    if _HOLE.sub("", template).find("{{") >= 0 or "{%" in template:
        raise LookupError(f"{template[:80]!r} is more than names in braces")
    return text


def starts_with(text: str) -> Expectation:
    """The answer begins with this text."""
    return AnswerMatches(pattern=rf"(?s)^\s*{re.escape(text)}")


def contains(text: str, *, ignore_case: bool) -> Expectation:
    """The answer holds this text."""
    return AnswerContains(text=text, ignore_case=ignore_case)


def equals(value: Any) -> Expectation:
    """The answer is this."""
    return AnswerEquals(value=value, normalise=())


def at_least_answered(expect: list[Expectation]) -> tuple[Expectation, ...]:
    """An eval expects something: without anything else, an answer."""
    return tuple(expect) or (Answered(),)


def why(error: Exception) -> str:
    """What is wrong, in a clause."""
    return first_problem(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]


def objects(values: Any, what: str) -> list[dict[str, Any]]:
    """The objects that a file lists; `what` each of them is.

    Raises:
        UserError: if they are no list, naming the one that is no object.
    """
    if not isinstance(values, list):
        raise UserError(f"{what}: they must be a list")
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise UserError(f"{what} {number} must be an object of names and values")
    return values


NEEDS_JUDGE = "asks a model, whose agreement with people must be measured first (`outerloop evals judge`)"
