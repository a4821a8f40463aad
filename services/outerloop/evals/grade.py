"""Whether a trace does what an eval expects, and a sentence for each expectation that does not hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outerloop.evals.expect.base import Check, Opinion, Run, walk
from outerloop.evals.expect.judged import Judge, Judged
from outerloop.trace.model import ToolCall, Trace

# Raise it with any change of what an expectation means: results of another grader are of another suite.
GRADER = 2


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict over one trace; `reasons` has a sentence for each expectation that does not hold."""

    passed: bool
    reasons: tuple[str, ...] = ()


def grade(
    expectations: Iterable[Check],
    trace: Trace,
    reached: Sequence[ToolCall] | None = None,
    opinions: Mapping[str, Opinion] | None = None,
) -> Grade:
    """Checks every expectation, also after one did not hold.

    `reached` are the calls that tools have seen, where that is known: what is expected of calls must hold of
    them too, for a trace can be written without them, and they can be made without a trace. `opinions` are
    judges', by the judge's id: see `judges`.

    Raises:
        UnjudgedError: if an opinion is missing.
        UserError: if a limit in dollars names a model without a price.
    """
    told = Run(trace, trace.tool_calls, opinions or {})
    seen = None if reached is None else Run(trace, reached, opinions or {})
    reasons = tuple(reason for check in expectations if (reason := _reason(check, told, seen)))
    return Grade(not reasons, reasons)


def _reason(check: Check, told: Run, seen: Run | None) -> str:
    if reason := check.reason(told):
        return reason
    reason = check.reason(seen) if seen is not None else ""
    return f"its trace tells otherwise, but of what reached the tools: {reason}" if reason else ""


def describe(expectation: Check) -> str:
    """The expectation in plain words, as the end of "the agent ..."."""
    return expectation.words


def exact(expectations: Iterable[Check]) -> tuple[Check, ...]:
    """The expectations that no judge has a part in."""
    return tuple(e for e in expectations if not judges([e]))


def judges(expectations: Iterable[Check]) -> tuple[Judge, ...]:
    """The judges that must be asked before these can be graded."""
    found = (part.judge for e in expectations for part in walk(e) if isinstance(part, Judged))
    return tuple({judge.sha256: judge for judge in found}.values())
