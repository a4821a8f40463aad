"""The verdict's rule: each eval asks for `trials` runs of which `passes` must pass; all evals must hold.

Evals are judged in order, the new one first, and the first that does not hold ends it. An eval ends as soon
as it is decided. Several trials may run at once, and which of them ends first never matters: results count
in the order of the trials' numbers, and what ran beyond the deciding trial does not count at all. (If results
counted as they came, trials that fail slowly would be seen less often than trials that pass quickly.)
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """What one eval asks for."""

    eval_id: str
    trials: int
    passes: int


@dataclass(frozen=True, slots=True, order=True)
class Trial:
    """One run to make: the `index`-th (from 0) of an eval."""

    eval_id: str
    index: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a decided eval did, over the trials that count."""

    eval_id: str
    trials: int
    passed: int
    held: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict. `broken` is the eval that did not hold; `outcomes` are of the evals judged, in order."""

    broken: str | None
    outcomes: tuple[Outcome, ...]

    @property
    def ships(self) -> bool:
        """Whether every eval held."""
        return self.broken is None


class Deliberation:
    """One change before the gate: knows which trials run, what came of the others, and what to do next.

    Args:
        asked: the evals in the order in which they are judged: the new one, then the earlier ones.
    """

    def __init__(self, asked: Sequence[Asked]) -> None:
        if not asked or len({each.eval_id for each in asked}) != len(asked):
            raise ValueError("a change is judged by at least one eval, and by none twice")
        self._asked = tuple(asked)
        self._results: dict[Trial, bool] = {}
        self._running: set[Trial] = set()

    @property
    def running(self) -> frozenset[Trial]:
        """The trials that have been started and not yet reported."""
        return frozenset(self._running)

    def next_trial(self) -> Trial | Ruling | None:
        """A trial to start now, or the verdict, or None: only what is running can tell how it goes on.

        Within an eval only trials that it needs whatever the running ones give are named, so that nothing is
        run in vain there; while those run, the evals after it get theirs. Never names a trial twice, unless
        it was `lost`. How many run at once is the caller's choice: it may stop asking at any time.
        """
        outcomes: list[Outcome] = []
        waiting = False
        for asked in self._asked:
            outcome, needed = self._judge(asked)
            if outcome is None:
                waiting = True
                trial = next((trial for trial in needed if self._is_new(trial)), None)
                if trial:
                    return trial
                continue
            outcomes.append(outcome)
            if not outcome.held:
                # What comes after cannot matter any more, even if an earlier one is still undecided.
                return None if waiting else Ruling(asked.eval_id, tuple(outcomes))
        return None if waiting else Ruling(None, tuple(outcomes))

    def started(self, trial: Trial) -> None:
        """The trial runs now."""
        if not self._is_new(trial):
            raise ValueError(f"{trial} was started before")
        self._running.add(trial)

    def finished(self, trial: Trial, *, passed: bool) -> None:
        """The trial ran, and passed or not."""
        self._running.remove(trial)
        self._results[trial] = passed

    def lost(self, trial: Trial) -> None:
        """The trial did not happen (see `TrialNotRunError`): it will be named again, number and all."""
        self._running.remove(trial)

    def _is_new(self, trial: Trial) -> bool:
        return trial not in self._running and trial not in self._results

    def _judge(self, asked: Asked) -> tuple[Outcome | None, list[Trial]]:
        """An eval's outcome, or the trials that it needs for certain, the finished ones included."""
        passed = failed = 0
        allowed = asked.trials - asked.passes
        while True:
            counted = passed + failed
            if passed >= asked.passes or failed > allowed:
                held = passed >= asked.passes and failed <= allowed
                return Outcome(asked.eval_id, counted, passed, held), []
            result = self._results.get(Trial(asked.eval_id, counted))
            if result is None:
                certain = min(asked.passes - passed, allowed + 1 - failed)
                return None, [Trial(asked.eval_id, counted + ahead) for ahead in range(certain)]
            passed, failed = passed + result, failed + (not result)
