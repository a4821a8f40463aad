"""Measure: what expectations do on the recorded failures of their mode, on healthy and on broken runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from outerloop.draft.core.case import caught, on_case_of
from outerloop.draft.core.mutants import Mutant, mutants
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import ToolNotCalled
from outerloop.evals.grade import grade
from outerloop.trace.acts import writes_of
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import MOST, always_called
from outerloop.trace.signal import Signal

# What more healthy runs than this share do not do either cannot be expected. A few may not: what was judged
# healthy only has no sign of failure that anybody knows.
FALSE_ALARMS = 0.1


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
    Not among them are `equivalent` ones, broken in a way in which healthy runs on such requests are too.
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
    equivalent: int = 0

    @property
    def mutation_score(self) -> float:
        """The share of broken runs that it fails; nothing can be said of none."""
        return 1 - len(self.survivors) / self.mutants if self.mutants else 0.0

    @property
    def worth(self) -> float:
        """The share of broken runs that it fails, times the chance that it passes the next healthy one.

        That chance is by Laplace's rule of succession: what few runs have proven is worth less.
        """
        return self.mutation_score * (self.healthy_passed + 1) / (self.healthy + 2)

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


def measured(
    about: Failing,
    expect: tuple[Expectation, ...],
    held: Sequence[Trace],
    failing: Sequence[Failing],
    *,
    known: Sequence[Trace] = (),
    writes: Sequence[str] = (),
) -> Draft:
    """What these expectations do on failures of their mode, on healthy runs `held`, and on broken ones.

    `known` are all healthy runs on such requests, also those that had a part in choosing what is expected;
    `writes` are the agent's tools that change state.
    """
    exemplar, sign = about.trace, about.sign
    passing = [t for t in held if grade(on_case_of(t, expect, exemplar), t).passed]
    made, same = broken_runs(passing[:MOST], exemplar, sign.span_id, known or held, writes)
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
        equivalent=len(same),
    )


def broken_runs(
    healthy: Sequence[Trace], failure: Trace, shown_by: str, known: Sequence[Trace], writes: Sequence[str]
) -> tuple[list[Mutant], list[Mutant]]:
    """Every mutant of these healthy runs that is none of `known`, and the equivalent ones; see `mutants`.

    `known` are all healthy runs on such requests, `writes` the agent's tools that change state.
    """
    done = {call.name for t in (*known, *healthy) for call in t.tool_calls if not call.failed}
    # Of what the failing run did beside what it is blamed for, nobody knows that it is wrong.
    asked_for = {call.name for call in failure.tool_calls if not call.failed}
    foreign = sorted(
        {*writes, *writes_of([*known, *healthy])} - asked_for, key=lambda tool: (tool in done, tool)
    )
    needed = always_called(healthy)
    made = [mutant for run in healthy for mutant in mutants(run, needed, failure, shown_by, foreign)]
    same = [mutant.equivalent(known) for mutant in made]
    return [m for m, is_ in zip(made, same, strict=True) if not is_], list(compress(made, same))
