"""Choosing: of several candidates, the one that is proposed, by the agent's tests and the visible eval.

What was seen of them are steps of a session of its own (see looking.py).
"""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from outerloop.propose.candidate import Ground
from outerloop.propose.looking import RUNS, Looking, Sight, StoppedError
from outerloop.propose.outcome import NoChange, Written
from outerloop.propose.record import Ended

STRATEGY = "screening"
CANDIDATE = 1_000  # after all that are candidates


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a candidate: whether its tests pass, in how many of the `runs` the eval did.

    `lines` are those that it adds or removes: of two that are as good, the smaller one is taken.
    """

    candidate: int
    tests: bool
    passed: int
    runs: int
    lines: int

    @property
    def fit(self) -> bool:
        """Whether it may be proposed: a run that did not happen speaks against nothing."""
        return self.tests and (self.passed > 0 or not self.runs)


def best(seen: list[Seen]) -> Seen | None:
    """The one to propose, None if none is fit."""
    fit = [each for each in seen if each.fit]
    return max(fit, key=lambda s: (s.passed / max(1, s.runs), -s.lines, -s.candidate), default=None)


async def choose(
    ground: Ground, looking: Looking, made: Mapping[int, Written | NoChange]
) -> Written | NoChange | None:
    """The outcome of an attempt with these candidates; None if it goes on later."""
    patches = {number: each for number, each in made.items() if isinstance(each, Written)}
    try:
        seen = [await _look(ground, looking, number, each.patch) for number, each in patches.items()]
    except StoppedError:
        return None
    chosen = best(seen)
    if chosen is None:
        reasons = [e.reason for e in made.values() if isinstance(e, NoChange)]
        reasons += [_words(each) for each in seen]
        final = all(isinstance(e, NoChange) and e.final for e in made.values())
        reason = f"none of {len(made)} candidates: {'; '.join(reasons)}"
        return NoChange(reason, _usd(made, looking), final)
    written = patches[chosen.candidate]
    how = f"Chosen of {len(made)} candidates: {_words(chosen)}."
    return Written(written.base, written.patch, f"{written.diagnosis}\n{how}", _usd(made, looking))


def _usd(made: Mapping[int, Written | NoChange], looking: Looking) -> float:
    return sum(each.usd for each in made.values()) + looking.usd


async def _look(ground: Ground, looking: Looking, candidate: int, patch: str) -> Seen:
    """Tests once, the eval RUNS times, on the base with the patch.

    Raises:
        StoppedError: it goes on later.
    """
    changed = sum(
        line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- ")) for line in patch.splitlines()
    )
    what = f"candidate {candidate}"
    async with _tree(ground, patch) as tree:
        tests = await looking.tests(what, partial(ground.tests, tree))
        ran: list[Sight] = []
        for number in range(1, RUNS + 1 if tests.passed else 1):
            try:
                sight = await looking.run(what, number, partial(ground.trial, tree))
            except StoppedError as stopped:
                if stopped.ended is Ended.SUSPENDED or ground.tomorrow():
                    raise
                break  # no money is left for this attempt: what was seen has to do
            ran += [sight] if sight.ran else []
    return Seen(candidate, tests.passed, sum(sight.passed for sight in ran), len(ran), changed)


@asynccontextmanager
async def _tree(ground: Ground, patch: str) -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="candidate-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch) / "tree"
        await ground.repository.checkout(await ground.repository.apply(ground.base, patch), tree)
        yield tree


def _words(seen: Seen) -> str:
    tests = "its tests pass" if seen.tests else "its tests fail"
    return f"candidate {seen.candidate}: {tests}, the eval passes in {seen.passed} of {seen.runs} runs"
