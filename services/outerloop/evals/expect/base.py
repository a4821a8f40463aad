"""Base of all expectations: look at a run, and say in a sentence what was expected and what was seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from outerloop.runtime.documents import Document
from outerloop.trace.model import ToolCall, Trace

# In the context of a dump: say of every expectation which kind it is, also where defaults are left out.
NAMED = {"named": True}
_SHOWN = 200  # characters of a value of the trace in a sentence


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said of a run, and why."""

    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """What is looked at: a trace, the tool calls that were made, and judges' opinions by the judge's id.

    `calls` are those of the trace, or those that reached the tools.
    """

    trace: Trace
    calls: Sequence[ToolCall]
    opinions: Mapping[str, Opinion] = field(default_factory=dict[str, Opinion])


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether an expectation holds of a run, and a clause that says what was seen of it."""

    holds: bool
    saw: str


class Check(Document):
    """One kind of expectation."""

    @property
    def wanted(self) -> str:
        """What is expected, as the beginning of a sentence that what was seen ends."""
        return f"expected that the agent {self.words}"

    @property
    def words(self) -> str:
        """The expectation in plain words, as the end of "the agent …"."""
        raise NotImplementedError

    def look(self, run: Run) -> Seen:
        """Whether it holds of the run."""
        raise NotImplementedError

    @property
    def parts(self) -> "tuple[Check, ...]":
        """The expectations that this one is made of."""
        return ()

    def reason(self, run: Run) -> str:
        """Why it does not hold, "" when it does."""
        seen = self.look(run)
        return "" if seen.holds else f"{self.wanted}: {seen.saw}"

    @model_serializer(mode="wrap")
    def _said(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        said: dict[str, Any] = handler(self)
        kind = {"check": getattr(self, "check", "")} if (info.context or {}).get("named") else {}
        return kind | said


def walk(check: Check) -> "list[Check]":
    """The expectation and all that it is made of."""
    return [check, *(deeper for part in check.parts for deeper in walk(part))]


def short(text: str) -> str:
    """As much of a text from a trace as a sentence may hold."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def listed(words: Sequence[str], last: str = "and") -> str:
    """A list in words: "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
