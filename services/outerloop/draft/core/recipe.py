"""What an eval should expect, from the sign of failure and from what healthy runs did. Exact, no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outerloop.draft.core.carry import asked, carried, named_in_request
from outerloop.draft.core.case import case_of
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import NoRepeatedCall, ToolCalled, ToolNotCalled
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import always_called
from outerloop.trace.signal import Signal

# Fewer agreeing neighbours could agree by chance on a tool that the request does not need.
AGREEING = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a good run would do: `own` is what the sign is about, `beside` what good runs do anyway."""

    own: tuple[Expectation, ...]
    beside: tuple[Expectation, ...]


def expectations(failing: Trace, sign: Signal, healthy: Sequence[Trace]) -> Wanted | None:
    """What a good run of `failing`'s request would do, given healthy runs of requests like it.

    None when nothing exact can be said: the sign is of a kind that only a person or a judge can turn into
    an expectation.
    """
    own = _own(failing, sign)
    if own is None:
        return None
    named = {own.tool} if isinstance(own, ToolCalled | ToolNotCalled) else set()
    tools = always_called(healthy) if len(healthy) >= AGREEING else []
    called: list[Expectation] = [_called(tool, failing, healthy) for tool in tools if tool not in named]
    if isinstance(own, ToolCalled) and own.tool in tools:
        own = _called(own.tool, failing, healthy)
    return Wanted((own,), tuple(e for e in (*called, NoErrorStatus(), Answered()) if e != own))


def _called(tool: str, failing: Trace, healthy: Sequence[Trace]) -> ToolCalled:
    """A call of the tool, about what the failing run was asked about as healthy runs call it about theirs."""
    given = [named_in_request(run, tool) for run in healthy]
    here, there = [asked(run) for run in healthy], asked(failing)
    arguments: dict[str, Any] = {}
    for key in sorted(set.intersection(*map(set, given))):
        told = {
            canonical(v): v for v in (carried(g[key], h, there) for g, h in zip(given, here, strict=True))
        }
        if len(told) == 1 and (value := next(iter(told.values()))) is not None:
            arguments[key] = value
    return ToolCalled(tool=tool, arguments=arguments)


def _own(failing: Trace, sign: Signal) -> Expectation | None:
    match sign.kind:
        case "tool_error":
            return ToolCalled(tool=sign.subject)
        case "repeated_call":
            return NoRepeatedCall()
        case "error_status":
            return NoErrorStatus()
        case "empty_answer":
            return Answered()
        case "evaluation":
            # An evaluator called a finished run bad: what it blames is the last thing that the run did.
            done = [call for call in failing.tool_calls if not call.failed]
            blamed = done[-1] if done else None
            return ToolNotCalled(tool=blamed.name, arguments=case_of(failing, blamed)) if blamed else None
    return None
