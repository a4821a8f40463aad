"""Choosing: of several candidates, the one that is proposed, by the agent's tests and the visible eval.

What was seen of a candidate is a step of a session of its own, so that nothing is run twice after a crash,
and what the runs cost is counted like all else.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from outerloop.propose.candidate import Ground
from outerloop.propose.memory import Taken
from outerloop.propose.outcome import NoChange, Written
from outerloop.propose.record import Step
from outerloop.runtime.errors import TrialNotRunError

STRATEGY = "screening"
CANDIDATE = 1_000  # after all that are candidates
RUNS = 3


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
    usd: float

    @property
    def fit(self) -> bool:
        """Whether it may be proposed: a run that did not happen speaks against nothing."""
        return self.tests and (self.passed > 0 or not self.runs)


def best(seen: list[Seen]) -> Seen | None:
    """The one to propose, None if none is fit."""
    fit = [each for each in seen if each.fit]
    return max(fit, key=lambda s: (s.passed / max(1, s.runs), -s.lines, -s.candidate), default=None)


async def choose(
    ground: Ground, taken: Taken, made: Mapping[int, Written | NoChange]
) -> Written | NoChange | None:
    """The outcome of an attempt with these candidates; None if it goes on later."""
    patches = {number: each for number, each in made.items() if isinstance(each, Written)}
    usd = sum(each.usd for each in made.values())
    known = [Seen(**json.loads((step.reply or [])[0]["text"])) for step in taken.past.steps]
    seen = {each.candidate: each for each in known}
    for number, written in patches.items():
        if number not in seen:
            if await ground.hindrance():
                return None
            seen[number] = await _look(ground, number, written.patch)
            await ground.memory.write(taken.record, [_step(len(seen), taken.epoch, seen[number])])
    usd += sum(each.usd for each in seen.values())
    chosen = best(list(seen.values()))
    if chosen is None:
        reasons = [e.reason for e in made.values() if isinstance(e, NoChange)]
        reasons += [_words(each) for each in seen.values()]
        final = all(isinstance(e, NoChange) and e.final for e in made.values())
        return NoChange(f"none of {len(made)} candidates: {'; '.join(reasons)}", usd, final)
    written = patches[chosen.candidate]
    how = f"Chosen of {len(made)} candidates: {_words(chosen)}."
    return Written(written.base, written.patch, f"{written.diagnosis}\n{how}", usd)


async def _look(ground: Ground, number: int, patch: str) -> Seen:
    """Tests once, the eval RUNS times, on the base with the patch."""
    changed = sum(
        line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- ")) for line in patch.splitlines()
    )
    with tempfile.TemporaryDirectory(prefix="candidate-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch) / "tree"
        await ground.repository.checkout(await ground.repository.apply(ground.base, patch), tree)
        tests = not ground.terms.test or (await ground.tests(tree)).passed
        passed, runs, usd = 0, 0, 0.0
        for _ in range(RUNS if tests else 0):
            try:
                ran = await ground.trial(tree)
            except TrialNotRunError:
                continue
            passed, runs, usd = passed + ran.passed, runs + 1, usd + ran.usd
    return Seen(number, tests, passed, runs, changed, usd)


def _words(seen: Seen) -> str:
    tests = "its tests pass" if seen.tests else "its tests fail"
    return f"candidate {seen.candidate}: {tests}, the eval passes in {seen.passed} of {seen.runs} runs"


def _step(number: int, epoch: int, seen: Seen) -> Step:
    asked = {"type": "text", "text": f"look at candidate {seen.candidate}"}
    said = {"type": "text", "text": json.dumps(asdict(seen))}
    return Step(number=number, epoch=epoch, content=[asked], reply=[said], usd=seen.usd)
