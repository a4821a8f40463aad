"""Linked: whether an accepted eval catches a mode already, so that no second one is written for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.draft.core.case import caught
from outerloop.draft.core.measure import Failing
from outerloop.evals.expect.base import Check
from outerloop.evals.expect.tools import ToolCalled, ToolNotCalled, ToolSucceeds
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import Crowd

# Of the failures that are asked about, an eval that catches the mode fails at least this share.
CAUGHT = 0.8


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted eval, with the run that it was written for."""

    eval_id: str
    mode_id: str
    expect: tuple[Check, ...]
    exemplar: Trace


@dataclass(frozen=True, slots=True)
class Caught:
    """The accepted eval that catches a mode, and how much of it."""

    by: Accepted
    caught: int
    failing: int


def catching(accepted: Sequence[Accepted], failing: Sequence[Failing], own: Check | None) -> Caught | None:
    """The accepted eval that catches the mode of these failures, if there is one.

    It must be about requests like theirs, fail on (nearly) all of them, and expect what their sign is about,
    `own`: that it also fails for another reason would leave the mode to whoever mends that other one.
    """
    if own is None or not failing:
        return None
    for one in accepted:
        if not any(_same(own, e) for e in one.expect):
            continue
        alike = Crowd([f.trace for f in failing]).like(one.exemplar)
        near = [t for t in alike if t.trace_id != one.exemplar.trace_id]
        near += [f.trace for f in failing if f.trace.trace_id == one.exemplar.trace_id]
        hit = sum(_fails(one, t, own) for t in near)
        if hit >= CAUGHT * len(failing):
            return Caught(one, hit, len(failing))
    return None


def _fails(one: Accepted, trace: Trace, own: Check) -> bool:
    return caught([e for e in one.expect if _same(own, e)], one.exemplar, trace)


def _same(one: Check, other: Check) -> bool:
    # Whoever asks that a tool be called with success, and that it answer in the end, asks for the same.
    if isinstance(one, ToolCalled | ToolSucceeds) and isinstance(other, ToolCalled | ToolSucceeds):
        return one.tool == other.tool
    if type(one) is not type(other):
        return False
    if isinstance(one, ToolNotCalled) and isinstance(other, ToolNotCalled):
        return one.tool == other.tool
    return True
