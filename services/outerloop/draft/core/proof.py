"""A draft is an eval only when it fails on the recorded failure and passes on healthy runs held out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from outerloop.draft.core.case import on_case_of
from outerloop.draft.core.measure import FALSE_ALARMS, Draft, Failing, Undraftable, measured
from outerloop.draft.core.recipe import AGREEING, ENDING, Tools, expectations
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.composite import Expectation, Not
from outerloop.evals.expect.tools import ToolCalled, ToolNotCalled
from outerloop.evals.grade import grade
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import MOST, Crowd

# A kind of request that fails this much less often than another of the same mode, or more, may fail by chance
# only (of few runs on it one failure is a half), and then the base could not be shown to fail.
CHANCE = 1 / 2
# Failures on so many fewer alike requests than another are no typical ones of their mode.
TYPICAL = 1 / 2
# An eval that fails fewer of the runs that are broken on purpose hardly looks. It is no larger share, as an
# eval leaves to others what fails on the same requests. So many are measured at most: each takes a while.
MUTANTS = 1 / 4
MEASURED = 5
# What more than this share of all the agent's healthy runs do at their end is a good end, on any request: an
# agent that may say no says no to the next one too.
SELDOM = 0.01


@dataclass(frozen=True, slots=True)
class _Proven:
    """Proven expectations, by `held` healthy runs. Of runs on such requests `bad` failed, `alike` did not."""

    candidate: Failing
    expect: tuple[Expectation, ...]
    held: Sequence[Trace]
    bad: int
    alike: Sequence[Trace]

    @property
    def often(self) -> float:
        """The share of runs on such requests that fail."""
        return self.bad / (self.bad + len(self.alike))


class _Recorded:
    """All that was recorded, ready to be looked through once for each candidate."""

    def __init__(self, failing: Sequence[Failing], healthy: Sequence[Trace], others: Sequence[Trace]) -> None:
        self.any_healthy = list(healthy[:MOST])
        self.ending = [e for e in ENDING if _misses(e, healthy) <= SELDOM * len(healthy)]
        self.failing = Crowd([f.trace for f in failing])
        self.healthy = Crowd(healthy)
        self.others = Crowd(others)
        self.tools = Tools.of([*(f.trace for f in failing), *healthy, *others])


@dataclass(frozen=True, slots=True)
class _Scene:
    """A candidate, the failures of other modes on requests like its own, and all that was recorded.

    `typical`: the healthy runs that the candidate is compared with are on requests like its own.
    """

    candidate: Failing
    others: Sequence[Trace]
    recorded: _Recorded
    typical: bool


def untaken(failing: Sequence[Failing], taken: Collection[str]) -> list[Failing]:
    """The failures on other requests than those `taken`: the canonical JSON of their messages."""
    return [each for each in failing if canonical(each.trace.input_messages) not in taken]


def draft(
    failing: Sequence[Failing],
    healthy: Sequence[Trace],
    others: Sequence[Trace] = (),
    refused: Sequence[Sequence[Expectation]] = (),
    *,
    mutants: float = MUTANTS,
    taken: Collection[str] = (),
) -> Draft | Undraftable:
    """The best provable eval among the recorded failures of a mode; `failing` in order of occurrence.

    `others` are the agent's failures of other modes, `refused` what evals expected that a person rejected:
    the same is not drafted again, whatever the case. The exemplar is a typical failure: one with many
    failures on requests like its own. Those are preferred whose eval says most, so that a change which
    merely avoids the failure does not pass; then the most typical, then the oldest. Failures on requests
    that mostly go well are left out: they may have been chance. Of a few it is the one whose eval is worth
    most, by how it does on healthy runs and on those that were broken on purpose, of which it must fail the
    share `mutants`. None is written for a request that is `taken` (see `untaken`).
    """
    recorded = _Recorded(failing, healthy, others)
    said_no = {_gist(expect) for expect in refused}
    tried = [_try(each, recorded, said_no) for each in untaken(failing, taken)]
    proven = [made for made in tried if isinstance(made, _Proven)]
    if not proven:
        reasons = dict.fromkeys(made.reason for made in tried if isinstance(made, Undraftable))
        none = "each request that fails has its eval" if failing else "the mode has no stored trace"
        return Undraftable("; ".join(reasons) or none)
    usual = CHANCE * max(p.often for p in proven)
    often = [p for p in proven if p.often > usual]
    typical = TYPICAL * max(p.bad for p in often)
    best = sorted((p for p in often if p.bad >= typical), key=lambda p: (-len(p.expect), -p.bad))
    by_request: dict[str, _Proven] = {}
    for each in best:
        by_request.setdefault(each.candidate.trace.request, each)
    some = list(by_request.values())[:MEASURED]
    looked_at = [
        measured(p.candidate, p.expect, p.held, failing, known=p.alike, writes=recorded.tools.writes)
        for p in some
    ]
    # Runs on other requests tell nothing when they are broken: what they needed to do is not asked here.
    weak = [made.too_weak(mutants) if p.alike else "" for made, p in zip(looked_at, some, strict=True)]
    strong = [made for made, why in zip(looked_at, weak, strict=True) if not why]
    return max(strong, key=lambda made: made.worth) if strong else Undraftable(weak[0])


def _gist(expect: Sequence[Expectation]) -> frozenset[str]:
    """What is expected, whatever the case."""
    return frozenset(f"{e.check} {getattr(e, 'tool', '')}" for e in expect)


def _fails(expect: Sequence[Expectation], candidate: Failing) -> bool:
    return not grade(expect, candidate.trace).passed


def _try(
    candidate: Failing, recorded: _Recorded, said_no: Collection[frozenset[str]]
) -> _Proven | Undraftable:
    if not candidate.trace.input_messages:
        return Undraftable("the root span carries no input (gen_ai.input.messages), so it cannot be replayed")
    alike = recorded.healthy.like(candidate.trace)
    # Where every request of the kind fails, a healthy run of any kind must do to compare with.
    compared = alike[:MOST] or recorded.any_healthy
    if not compared:
        return Undraftable("no healthy run to compare with")
    others = recorded.others.like(candidate.trace)
    expect, held = _prove(_Scene(candidate, others, recorded, bool(alike)), compared)
    if not expect or not _fails(expect, candidate):
        return Undraftable(
            f"nothing exact tells {candidate.sign.subject} ({candidate.sign.kind}) from healthy runs"
        )
    held, why = [*held, *alike[MOST:]], ""
    for each in _offers(expect, said_no):
        if not _fails(each, candidate):
            continue
        alarms = sum(not grade(on_case_of(t, each, candidate.trace), t).passed for t in held)
        if _gist(each) in said_no:
            why = why or "a person has rejected what it would expect"
        elif alarms <= FALSE_ALARMS * len(held):
            return _Proven(candidate, each, held, 1 + len(recorded.failing.like(candidate.trace)), alike)
        else:
            why = why or f"what it would expect, {alarms} of {len(held)} healthy runs do not do either"
    return Undraftable(why)


def _offers(
    expect: tuple[Expectation, ...], said_no: Collection[frozenset[str]]
) -> list[tuple[Expectation, ...]]:
    """What may be expected, the most first; where a person has said no to it, what the sign is about alone.

    Runs on such requests may differ in what they change: then nothing is said of changes.
    """
    plain = tuple(e for e in expect if not isinstance(e, StateChanges))
    return [expect[:1]] if _gist(expect) in said_no else [expect, plain, expect[:1]]


def _prove(scene: _Scene, compared: Sequence[Trace]) -> tuple[tuple[Expectation, ...], Sequence[Trace]]:
    """Expectations chosen on some healthy runs that hold on all others, and those others.

    A run held out on which they do not hold has its say in choosing from then on, and the rest must prove
    what is chosen then; each round holds out fewer, so this ends. Too few to agree on anything are not split.
    """
    apart = 2 if len(compared) > AGREEING else 1
    chosen, held = list(compared[::apart]), list(compared[1::2]) if apart > 1 else []
    while True:
        expect = _choose(scene, chosen)
        passed = [grade(on_case_of(t, expect, scene.candidate.trace), t).passed for t in held]
        if all(passed):
            return expect, held or chosen
        chosen += [t for t, ok in zip(held, passed, strict=True) if not ok]
        held = [t for t, ok in zip(held, passed, strict=True) if ok]


def _choose(scene: _Scene, healthy: Sequence[Trace]) -> tuple[Expectation, ...]:
    candidate, others = scene.candidate, scene.others
    exemplar = candidate.trace
    known = scene.recorded
    near = healthy if scene.typical else ()
    wanted = expectations(exemplar, candidate.sign, near, known.tools, known.ending)
    # Another flaw on the same kind of request has an eval of its own: one that also demanded its absence
    # here would reject the change that closes this mode, and that eval the change that closes the other.
    beside = [e for each in wanted.beside if (e := _that_holds(each, exemplar, others)) is not None]
    # What healthy runs do not do either is no sign of failure.
    beside = [e for each in beside if (e := _that_holds(each, exemplar, healthy)) is not None]
    told = (e for each in wanted.own if (e := _that_holds(each, exemplar, healthy)) is not None)
    own = next((e for e in told if _fails((e,), candidate)), None)
    if own is None or isinstance(own, ToolNotCalled):
        # Where the wrong was a deed, the right may be to say no.
        beside = [e for e in beside if not isinstance(e, Not)]
    return tuple(beside) if own is None else (own, *(e for e in beside if e != own))


def _misses(expectation: Expectation, runs: Sequence[Trace]) -> int:
    return sum(not grade([expectation], run).passed for run in runs)


def _that_holds(expectation: Expectation, exemplar: Trace, runs: Sequence[Trace]) -> Expectation | None:
    """The expectation as far as it holds on all of these runs, each with its own case; else None."""
    weaker = [expectation]
    if isinstance(expectation, ToolCalled) and expectation.arguments:
        weaker.append(ToolCalled(tool=expectation.tool))
    for each in weaker:
        if all(grade(on_case_of(t, (each,), exemplar), t).passed for t in runs):
            return each
    return None
