"""A draft is an eval only when it fails on the recorded failure and passes on healthy runs held out."""

from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.draft.core.case import case_of
from outerloop.draft.core.recipe import AGREEING, expectations
from outerloop.evals.grade import grade
from outerloop.evals.model import Expectation, ToolNotCalled
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import MOST, Crowd
from outerloop.trace.signal import Signal

# A kind of request that fails this much less often than another of the same mode may fail by chance only.
CHANCE = 1 / 3
# Failures on so many fewer alike requests than another are no typical ones of their mode.
TYPICAL = 1 / 2


@dataclass(frozen=True, slots=True)
class Failing:
    """A recorded failure and the most telling sign of it."""

    trace: Trace
    sign: Signal


@dataclass(frozen=True, slots=True)
class Draft:
    """Expectations for one exemplar, with how they do on the recorded traces.

    `healthy` counts runs that had no part in choosing the expectations; where there was none to spare, those
    that had.
    """

    exemplar: Trace
    expect: tuple[Expectation, ...]
    failing_caught: int
    failing: int
    healthy_passed: int
    healthy: int


@dataclass(frozen=True, slots=True)
class Undraftable:
    """Why no eval could be proven."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Proven:
    """Proven expectations: on `held` healthy runs, and with `bad` and `good` runs on requests alike."""

    exemplar: Trace
    expect: tuple[Expectation, ...]
    held: Sequence[Trace]
    bad: int
    good: int


class _Recorded:
    """All that was recorded, ready to be looked through once for each candidate."""

    def __init__(self, failing: Sequence[Failing], healthy: Sequence[Trace], others: Sequence[Trace]) -> None:
        self.any_healthy = list(healthy[:MOST])
        self.failing = Crowd([f.trace for f in failing])
        self.healthy = Crowd(healthy)
        self.others = Crowd(others)


def draft(
    failing: Sequence[Failing], healthy: Sequence[Trace], others: Sequence[Trace] = ()
) -> Draft | Undraftable:
    """The best provable eval among the recorded failures of a mode; `failing` in order of occurrence.

    `others` are the agent's failures of other modes. The exemplar is a typical failure: one with many
    failures on requests like its own. Of those it is the one whose eval says most, so that a change which
    merely avoids the failure does not pass; then the most typical, then the oldest. Failures on requests
    that mostly go well are left out: they may have been chance.
    """
    recorded = _Recorded(failing, healthy, others)
    tried = [_try(candidate, recorded) for candidate in failing]
    proven = [made for made in tried if isinstance(made, _Proven)]
    if not proven:
        reasons = dict.fromkeys(made.reason for made in tried if isinstance(made, Undraftable))
        return Undraftable("; ".join(reasons) or "the mode has no stored trace")
    usual = CHANCE * max(p.bad / (p.bad + p.good) for p in proven)
    often = [p for p in proven if p.bad / (p.bad + p.good) >= usual]
    typical = TYPICAL * max(p.bad for p in often)
    best = max((p for p in often if p.bad >= typical), key=lambda p: (len(p.expect), p.bad))
    caught = sum(_caught(best.expect, f.trace) for f in failing)
    passed = sum(grade(best.expect, t).passed for t in best.held)
    return Draft(best.exemplar, best.expect, caught, len(failing), passed, len(best.held))


def _try(candidate: Failing, recorded: _Recorded) -> _Proven | Undraftable:
    if not candidate.trace.input_messages:
        return Undraftable("the root span carries no input (gen_ai.input.messages), so it cannot be replayed")
    alike = recorded.healthy.like(candidate.trace)
    # Where every request of the kind fails, a healthy run of any kind must do to compare with.
    compared = alike[:MOST] or recorded.any_healthy
    if not compared:
        return Undraftable("no healthy run to compare with")
    others = recorded.others.like(candidate.trace)
    expect, held = _prove(candidate, compared, others, typical=bool(alike))
    if not expect or grade(expect, candidate.trace).passed:
        return Undraftable(
            f"nothing exact tells {candidate.sign.subject} ({candidate.sign.kind}) from healthy runs"
        )
    bad = 1 + len(recorded.failing.like(candidate.trace))
    return _Proven(candidate.trace, expect, held, bad, len(alike))


def _prove(
    candidate: Failing, compared: Sequence[Trace], others: Sequence[Trace], *, typical: bool
) -> tuple[tuple[Expectation, ...], Sequence[Trace]]:
    """Expectations chosen on some healthy runs that hold on all others, and those others.

    A run held out on which they do not hold has its say in choosing from then on, and the rest must prove
    what is chosen then; each round holds out fewer, so this ends. Too few to agree on anything are not split.
    """
    apart = 2 if len(compared) > AGREEING else 1
    chosen, held = list(compared[::apart]), list(compared[1::2]) if apart > 1 else []
    while True:
        expect = _choose(candidate, chosen, others, typical=typical)
        passed = [grade(expect, t).passed for t in held]
        if all(passed):
            return expect, held or chosen
        chosen += [t for t, ok in zip(held, passed, strict=True) if not ok]
        held = [t for t, ok in zip(held, passed, strict=True) if ok]


def _choose(
    candidate: Failing, healthy: Sequence[Trace], others: Sequence[Trace], *, typical: bool
) -> tuple[Expectation, ...]:
    wanted = expectations(candidate.trace, candidate.sign, healthy if typical else ())
    if wanted is None:
        return ()
    # Another flaw on the same kind of request has an eval of its own: one that also demanded its absence
    # here would reject the change that closes this mode, and that eval the change that closes the other.
    beside = [e for e in wanted.beside if all(grade((e,), t).passed for t in others)]
    # What healthy runs do not do either is no sign of failure.
    return tuple(e for e in (*wanted.own, *beside) if all(grade((e,), t).passed for t in healthy))


def _caught(expect: Sequence[Expectation], failing: Trace) -> bool:
    """Whether the eval fails on a failure of its mode.

    A forbidden call names the exemplar's case; on another failure, that failure's own case stands there.
    Healthy runs are graded with the exemplar's: that a call is wrong in one case says nothing of others.
    """
    return not grade([_on_case_of(failing, e) for e in expect], failing).passed


def _on_case_of(failing: Trace, expectation: Expectation) -> Expectation:
    if not isinstance(expectation, ToolNotCalled):
        return expectation
    made = (case_of(failing, c) for c in failing.tool_calls if c.name == expectation.tool and not c.failed)
    own = next((case for case in made if case.keys() == expectation.arguments.keys()), None)
    return expectation if own is None else expectation.model_copy(update={"arguments": own})
