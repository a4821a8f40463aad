"""A draft is an eval only when it fails on the recorded failure and passes on healthy runs held out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from outerloop.draft.core.case import caught, on_case_of
from outerloop.draft.core.mutants import Mutant, mutants
from outerloop.draft.core.recipe import AGREEING, ENDING, expectations
from outerloop.evals.expect.composite import Expectation, Not
from outerloop.evals.expect.tools import ToolCalled, ToolNotCalled
from outerloop.evals.grade import grade
from outerloop.trace.acts import writes_of
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import MOST, Crowd, always_called
from outerloop.trace.signal import Signal

# A kind of request that fails this much less often than another of the same mode may fail by chance only.
CHANCE = 1 / 3
# What more healthy runs than this share do not do either cannot be expected. A few may not: what was judged
# healthy only has no sign of failure that anybody knows.
FALSE_ALARMS = 0.1
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
class Failing:
    """A recorded failure and the most telling sign of it."""

    trace: Trace
    sign: Signal


@dataclass(frozen=True, slots=True)
class Draft:
    """Expectations for one exemplar, with how they do on the recorded traces.

    `healthy` counts runs that had no part in choosing the expectations; where there was none to spare, those
    that had. `mutants` are healthy runs that were broken on purpose, `survivors` those that pass, in words.
    """

    exemplar: Trace
    sign: Signal
    expect: tuple[Expectation, ...]
    failing_caught: int
    failing: int
    healthy_passed: int
    healthy: int
    mutants: int
    survivors: tuple[str, ...]

    @property
    def mutation_score(self) -> float:
        """The share of broken runs that it fails; nothing can be said of none."""
        return 1 - len(self.survivors) / self.mutants if self.mutants else 0.0

    def too_weak(self, mutants: float) -> str:
        """Why it is no eval, if it fails less than this share of the broken runs; else "".

        Nothing is said of one that forbids a deed: healthy runs do it, where it is right, and without it, or
        with a no, they are no worse in the case that the eval is about.
        """
        forbids = any(isinstance(e, ToolNotCalled) for e in self.expect)
        if forbids or not self.mutants or self.mutation_score >= mutants:
            return ""
        passed = "; ".join(dict.fromkeys(self.survivors))
        return (
            f"of {self.mutants} healthy runs that were broken on purpose it fails"
            f" {self.mutants - len(self.survivors)}, and must fail {mutants:.0%} (OUTERLOOP_DRAFT_MUTANTS):"
            f" it lets pass: {passed}"
        )


@dataclass(frozen=True, slots=True)
class Undraftable:
    """Why no eval could be proven."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Proven:
    """Proven expectations: on `held` healthy runs, and with `bad` and `good` runs on requests alike."""

    candidate: Failing
    expect: tuple[Expectation, ...]
    held: Sequence[Trace]
    bad: int
    good: int


class _Recorded:
    """All that was recorded, ready to be looked through once for each candidate."""

    def __init__(self, failing: Sequence[Failing], healthy: Sequence[Trace], others: Sequence[Trace]) -> None:
        self.any_healthy = list(healthy[:MOST])
        self.ending = [e for e in ENDING if _misses(e, healthy) <= SELDOM * len(healthy)]
        self.failing = Crowd([f.trace for f in failing])
        self.healthy = Crowd(healthy)
        self.others = Crowd(others)


@dataclass(frozen=True, slots=True)
class _Scene:
    """A candidate, the failures of other modes on requests like its own, and how good runs of the agent end.

    `typical`: the healthy runs that it is compared with are on requests like its own.
    """

    candidate: Failing
    others: Sequence[Trace]
    ending: Sequence[Expectation]
    typical: bool


def draft(
    failing: Sequence[Failing],
    healthy: Sequence[Trace],
    others: Sequence[Trace] = (),
    refused: Sequence[Sequence[Expectation]] = (),
    *,
    mutants: float = MUTANTS,
) -> Draft | Undraftable:
    """The best provable eval among the recorded failures of a mode; `failing` in order of occurrence.

    `others` are the agent's failures of other modes, `refused` what evals expected that a person rejected:
    the same is not drafted again, whatever the case. The exemplar is a typical failure: one with many
    failures on requests like its own. Of those it is the one whose eval says most, so that a change which
    merely avoids the failure does not pass; then the most typical, then the oldest. Failures on requests
    that mostly go well are left out: they may have been chance. An eval must fail the share `mutants` of the
    healthy runs that were broken on purpose: of a few, the first that does is taken.
    """
    recorded = _Recorded(failing, healthy, others)
    said_no = {_gist(expect) for expect in refused}
    tried = [_try(candidate, recorded, said_no) for candidate in failing]
    proven = [made for made in tried if isinstance(made, _Proven)]
    if not proven:
        reasons = dict.fromkeys(made.reason for made in tried if isinstance(made, Undraftable))
        return Undraftable("; ".join(reasons) or "the mode has no stored trace")
    usual = CHANCE * max(p.bad / (p.bad + p.good) for p in proven)
    often = [p for p in proven if p.bad / (p.bad + p.good) >= usual]
    typical = TYPICAL * max(p.bad for p in often)
    best = sorted((p for p in often if p.bad >= typical), key=lambda p: (-len(p.expect), -p.bad))
    weak = ""
    for each in best[:MEASURED]:
        made = measured(each.candidate, each.expect, each.held, failing)
        # Runs on other requests tell nothing when they are broken: what they needed to do is not asked here.
        why = made.too_weak(mutants) if each.good else ""
        if not why:
            return made
        weak = weak or why
    return Undraftable(weak)


def measured(
    about: Failing, expect: tuple[Expectation, ...], held: Sequence[Trace], failing: Sequence[Failing]
) -> Draft:
    """What these expectations do on failures of their mode, on healthy runs, and on broken ones."""
    exemplar, sign = about.trace, about.sign
    passing = [t for t in held if grade(on_case_of(t, expect, exemplar), t).passed]
    made = broken_runs(passing[:MOST], exemplar, sign.span_id)
    alive = [m for m in made if grade(on_case_of(m.trace, expect, exemplar), m.trace).passed]
    return Draft(
        exemplar=exemplar,
        sign=sign,
        expect=expect,
        failing_caught=sum(caught(expect, exemplar, f.trace) for f in failing),
        failing=len(failing),
        healthy_passed=len(passing),
        healthy=len(held),
        mutants=len(made),
        survivors=tuple(f"{m.way}: {m.what}" for m in alive),
    )


def broken_runs(healthy: Sequence[Trace], failure: Trace, shown_by: str) -> list[Mutant]:
    """Every mutant of these healthy runs; see `mutants`."""
    needed, writes = always_called(healthy), writes_of([failure, *healthy])
    return [mutant for run in healthy for mutant in mutants(run, needed, failure, shown_by, writes)]


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
    expect, held = _prove(_Scene(candidate, others, recorded.ending, bool(alike)), compared)
    if not expect or not _fails(expect, candidate):
        return Undraftable(
            f"nothing exact tells {candidate.sign.subject} ({candidate.sign.kind}) from healthy runs"
        )
    # What a person has rejected may have asked for too much: what the sign is about alone asks for less.
    least = (expect, expect[:1])
    expect = next((e for e in least if _gist(e) not in said_no and _fails(e, candidate)), ())
    if not expect:
        return Undraftable("a person has rejected what it would expect")
    held = [*held, *alike[MOST:]]
    alarms = sum(not grade(on_case_of(t, expect, candidate.trace), t).passed for t in held)
    if alarms > FALSE_ALARMS * len(held):
        return Undraftable(f"what it would expect, {alarms} of {len(held)} healthy runs do not do either")
    bad = 1 + len(recorded.failing.like(candidate.trace))
    return _Proven(candidate, expect, held, bad, len(alike))


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
    writes = writes_of([exemplar, *healthy, *others])
    wanted = expectations(exemplar, candidate.sign, healthy if scene.typical else (), writes, scene.ending)
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
