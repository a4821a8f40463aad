"""Parting: where two runs on like requests begin to differ. Pure.

Two calls are alike if they go to the same tool with arguments of the same form and end alike; what the
arguments are about (which order, which name) is each run's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from outerloop.trace.model import ToolCall, Trace


@dataclass(frozen=True, slots=True)
class Parting:
    """`common` calls are alike; then comes what each run does next, None for its end."""

    common: int
    one: ToolCall | None
    other: ToolCall | None

    @property
    def span_id(self) -> str:
        """The span of the first run where it parts, "" if it simply ends there."""
        return self.one.span_id if self.one else ""


def parting(one: Trace, other: Trace) -> Parting:
    """Where they part; two runs with like calls part at their ends."""
    calls = list(zip_longest(one.tool_calls, other.tool_calls))
    common = next(
        (at for at, (a, b) in enumerate(calls) if a is None or b is None or not _alike(a, b)), len(calls)
    )
    return Parting(common, *(calls[common] if common < len(calls) else (None, None)))


def form(value: object) -> str:
    """What a value looks like: digits as 0, letters as a, runs of them as one; "A-1007" is "a-0"."""
    text = re.sub(r"[^\W\d_]+", "a", str(value))
    return re.sub(r"\d+", "0", text)[:40]


def _alike(one: ToolCall, other: ToolCall) -> bool:
    return (
        one.name == other.name
        and one.failed == other.failed
        and _form(one.arguments) == _form(other.arguments)
    )


def _form(arguments: Mapping[str, Any]) -> dict[str, str]:
    # Of a text of several words only that it is one: a customer's own words have no form.
    return {name: "…" if " " in str(value) else form(value) for name, value in arguments.items()}
