"""Parting: where a failing run and a healthy one on a request like it begin to differ. Pure.

Two calls are alike if they go to the same tool with arguments of the same form and end alike; what the
arguments are about (which order, which name) is each run's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outerloop.trace.model import ToolCall, Trace


@dataclass(frozen=True, slots=True)
class Parting:
    """`common` calls are alike; then comes what each run does next, None for its end."""

    common: int
    failing: ToolCall | None
    healthy: ToolCall | None

    @property
    def span_id(self) -> str:
        """The span of the failing run where it parts, "" if it simply ends there."""
        return self.failing.span_id if self.failing else ""


def parting(failing: Trace, healthy: Trace) -> Parting:
    """Where they part; two runs with like calls part at their ends."""
    one, other = failing.tool_calls, healthy.tool_calls
    common = 0
    while common < min(len(one), len(other)) and _alike(one[common], other[common]):
        common += 1
    return Parting(
        common,
        one[common] if common < len(one) else None,
        other[common] if common < len(other) else None,
    )


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
