"""Whether a trace does what an eval expects, and a sentence for each expectation that does not hold."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outerloop.evals.jsonvalue import canonical
from outerloop.evals.model import (
    Answered,
    Expectation,
    NoErrorStatus,
    NoRepeatedCall,
    ToolCalled,
    ToolNotCalled,
)
from outerloop.trace.model import ToolCall, Trace

_SHOWN = 200  # characters of a value of the trace in a sentence

# Raise it with any change of what an expectation means: results of another grader are of another suite.
GRADER = 2


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict over one trace; `reasons` has a sentence for each expectation that does not hold."""

    passed: bool
    reasons: tuple[str, ...] = ()


def grade(
    expectations: Iterable[Expectation], trace: Trace, reached: Sequence[ToolCall] | None = None
) -> Grade:
    """Checks every expectation, also after one did not hold.

    `reached` are the calls that tools have seen, where that is known: what is expected of calls must hold of
    them too, for a trace can be written without them, and they can be made without a trace.
    """
    found = (_reason(expectation, trace, trace.tool_calls) for expectation in expectations)
    if reached is not None:
        found = (
            _reason(expectation, trace, trace.tool_calls) or _by_tools(_reason(expectation, trace, reached))
            for expectation in expectations
        )
    reasons = tuple(reason for reason in found if reason)
    return Grade(not reasons, reasons)


def _by_tools(reason: str) -> str:
    return f"its trace tells otherwise, but of what reached the tools: {reason}" if reason else ""


def describe(expectation: Expectation) -> str:
    """The expectation in plain words, as the end of "the agent ..."."""
    match expectation:
        case ToolCalled(tool=tool, arguments=arguments):
            return f"calls {tool}{_with(arguments)}"
        case ToolNotCalled(tool=tool, arguments=arguments):
            return f"never calls {tool}{_with(arguments)}"
        case NoRepeatedCall(most=most):
            return f"makes no tool call more than {_times(most)} with the same arguments"
        case NoErrorStatus():
            return "ends without an error"
        case Answered():
            return "ends with an answer"


def _reason(expectation: Expectation, trace: Trace, made: Sequence[ToolCall]) -> str:
    """Why the expectation does not hold of a run that made these calls; "" when it does."""
    match expectation:
        case ToolCalled():
            return _not_called(expectation, made)
        case ToolNotCalled(tool=tool, arguments=arguments):
            found = [call for call in made if _matches(call, tool, arguments)]
            wanted = f"expected no call of {_call(tool, arguments)}"
            return f"{wanted}: it was called{_as_made(found[0])}" if found else ""
        case NoRepeatedCall(most=most):
            return _repeated(most, made)
        case NoErrorStatus():
            return _error(trace)
        case Answered():
            return "" if trace.answer.strip() else "expected an answer: the run ended without one"


def _not_called(expected: ToolCalled, made: Sequence[ToolCall]) -> str:
    wanted = f"expected a call of {_call(expected.tool, expected.arguments)}"
    calls = [call for call in made if call.name == expected.tool]
    matching = [call for call in calls if _matches(call, expected.tool, expected.arguments)]
    if any(not call.failed for call in matching):
        return ""
    if matching:
        return f"{wanted}: it was called, but failed{_result(matching[-1])}"
    if not calls:
        return f"{wanted}: it was never called"
    return f"{wanted}: it was called{_as_made(calls[-1])}"


def _repeated(most: int, calls: Sequence[ToolCall]) -> str:
    made = Counter((call.name, canonical(call.arguments)) for call in calls)
    for (name, arguments), times in made.items():
        if times > most:
            shown = _short(arguments)
            return f"expected no call more than {_times(most)}: {name} was called {times} times with {shown}"
    return ""


def _error(trace: Trace) -> str:
    root = trace.root
    if not root.failed:
        return ""
    said = ": ".join(filter(None, (root.error_type, root.status_message)))
    return f"expected an end without an error: the run ended with {_short(said) if said else 'one'}"


def _matches(call: ToolCall, tool: str, arguments: Mapping[str, Any]) -> bool:
    return call.name == tool and all(
        key in call.arguments and canonical(call.arguments[key]) == canonical(value)
        for key, value in arguments.items()
    )


def _with(arguments: Mapping[str, Any]) -> str:
    shown = [f"{key} = {canonical(value)}" for key, value in arguments.items()]
    return f" with {' and '.join(shown)}" if shown else ""


def _call(tool: str, arguments: Mapping[str, Any]) -> str:
    return f"{tool} with {dict(arguments)}" if arguments else tool


def _as_made(call: ToolCall) -> str:
    return f" with {_short(str(dict(call.arguments)))}" if call.arguments else " without arguments"


def _result(call: ToolCall) -> str:
    return f" with {_short(call.result)}" if call.result else ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
