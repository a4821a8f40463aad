"""Base: what the base is asked, in trials of its own: does it fail the eval?

`Reproduction` is asked before a change is tried: an eval that the base does not fail proves nothing of a
mend. `BaseCheck` is asked when a prior eval has blocked a change: if the base fails it today too, the world
has moved, and the change is not charged with it.

Results count in the order of the trials' numbers, and the trials that are needed whatever they give may run
at once: the finding is a function of the results alone. To resume, `started` and `finished` are told again of
every trial on record, in any order.
"""

import math
from enum import StrEnum

import numpy as np

from outerloop.gate.core.case import Trial
from outerloop.gate.core.in_turn import InTurn
from outerloop.gate.core.line import log_above, log_below
from outerloop.gate.core.spending import BASE_SHARE

REPRODUCED_BELOW = 0.2  # by so much the base lies below the bar that the change must prove
REPRODUCED_AT = 0.05
FINE_AT = 0.05
# And no more: what is nearer to the line than so many can tell stays undecided. An eval whose failure is not
# reproduced cannot be closed at all, so that is asked longer.
REPRODUCTION_TRIALS, CHECK_TRIALS = 150, 100


class Finding(StrEnum):
    """What the base's trials show."""

    BROKEN = "broken"  # it is proven to be below the line
    FINE = "fine"  # it is proven to be above
    UNDECIDED = "undecided"  # neither within the cap


class Question:
    """Whether the base's rate on an eval is below or above a `line`; each side is proven at its level."""

    def __init__(self, eval_id: str, line: float, *, broken_at: float, fine_at: float, cap: int) -> None:
        if not 0 < line < 1:
            raise ValueError(f"{eval_id}: no rate is on either side of {line}")
        self.line = line
        self.broken_at, self.fine_at, self.cap = broken_at, fine_at, cap
        self._turns = InTurn(eval_id)
        self.passed = self.failed = 0
        self.finding: Finding | None = None

    @property
    def running(self) -> frozenset[tuple[str, int]]:
        """(eval id, index) of the trials that have been started and not yet reported."""
        return self._turns.running

    @property
    def trials(self) -> int:
        """How many trials counted."""
        return self.passed + self.failed

    @property
    def log_broken(self) -> float:
        """The logarithm of the e-value against "at or above the line"."""
        return float(log_below(self.passed, self.failed, self.line))

    @property
    def log_fine(self) -> float:
        """The logarithm of the e-value against "at or below the line"."""
        return float(log_above(self.passed, self.failed, self.line))

    def next_trial(self) -> Trial | None:
        """A trial to start now; None when there is a finding, or only the running ones can tell."""
        return None if self.finding else self._turns.next_trial(self._least())

    def started(self, trial: Trial) -> None:
        """The trial runs now, or is on record."""
        self._turns.started(trial)

    def finished(self, trial: Trial, *, passed: bool) -> None:
        """The trial ran, and passed or not."""
        for counts in self._turns.finished(trial, passed=passed):
            if self.finding is None:
                self._count(passed=counts)

    def lost(self, trial: Trial) -> None:
        """The trial did not happen (see `TrialNotRunError`): it will be named again, number and all."""
        self._turns.lost(trial)

    def _count(self, *, passed: bool) -> None:
        self.passed += passed
        self.failed += not passed
        if self.log_broken >= math.log(1 / self.broken_at):
            self.finding = Finding.BROKEN
        elif self.log_fine >= math.log(1 / self.fine_at):
            self.finding = Finding.FINE
        elif self.trials >= self.cap:
            self.finding = Finding.UNDECIDED

    def _least(self) -> int:
        """How many further trials are needed whatever they give: all fail, or all pass, or the cap."""
        further = np.arange(1, self.cap - self.trials + 1, dtype=np.float64)
        broken = log_below(self.passed, self.failed + further, self.line)
        fine = log_above(self.passed + further, self.failed, self.line)
        decided = (broken >= math.log(1 / self.broken_at)) | (fine >= math.log(1 / self.fine_at))
        decided[-1] = True
        return int(decided.argmax()) + 1


class Reproduction(Question):
    """Whether the base fails the new eval: proven below its bar − .2, or above that, each at .05."""

    def __init__(self, eval_id: str, bar: float) -> None:
        line = round(bar - REPRODUCED_BELOW, 6)
        levels = {"broken_at": REPRODUCED_AT, "fine_at": REPRODUCED_AT}
        super().__init__(eval_id, line, **levels, cap=REPRODUCTION_TRIALS)


class BaseCheck(Question):
    """Whether the base fails a prior eval, too: proven below its bar, or above it.

    `alpha` is the level of the decision that asks. A base that is wrongly found broken costs the guarantee as
    much as a wrong claim does, and so is tested at its share of α. A base found neither is taken to be fine:
    the change is charged.
    """

    def __init__(self, eval_id: str, bar: float, alpha: float) -> None:
        super().__init__(eval_id, bar, broken_at=BASE_SHARE * alpha, fine_at=FINE_AT, cap=CHECK_TRIALS)
