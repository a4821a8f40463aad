"""Sentinel: has the provider changed the model under us? Daily trials of what production runs.

Every day some evals are drawn at random and run on the release. Each stratum has a Shiryaev-Roberts
e-detector (Shin, Ramdas & Rinaldo 2022, arXiv 2203.03532): with L_t the likelihood ratio of day t,

    R_t = (1 + R_{t−1})·L_t        alarm when R_t ≥ 1,000

While the stratum's mean rate is no lower than g, E[L_t | past] ≤ 1, so R_t − t is a supermartingale, and at
whatever time one stops E[time] ≥ E[R]: from start to alarm it is at least 1,000 days on average, whatever the
rates of the evals and however many trials a day. (A day's trials are drawn without replacement; the expected
product of factors that are linear in the rates is then at most that of the mean: Maclaurin's inequality.)

The edge g and the drift floor are the stratum's on that day: as good as its frozen anchors, and as low as a
confirmation still lets pass. What it has become is not known, so R is the mean of detectors that bet on a
slip to the floor, on one fail in two, and on what lies between them: a mean of e-detectors is one.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from outerloop.gate.core.claim import Bet, log_steps
from outerloop.gate.core.drift import Stratum, strata

ALARM = 1000.0
EVEN = 0.5  # the lowest rate that is bet on
_MOST = 300.0  # nats a day: beyond it is an alarm, and soon more than a float holds


@dataclass(frozen=True, slots=True)
class Detector:
    """One stratum in the course of days: R of each bet. To go on tomorrow, keep it."""

    values: tuple[float, float, float] = (0.0, 0.0, 0.0)
    days: int = 0

    @property
    def value(self) -> float:
        """R_t: how much evidence there is for a change on some day so far."""
        return sum(self.values) / len(self.values)

    @property
    def alarm(self) -> bool:
        """Whether the stratum has become worse. After an alarm that was looked into, begin anew."""
        return self.value >= ALARM

    def after(self, bet: Bet, passes: int, fails: int) -> "Detector":
        """The detector after one more day, on which the stratum has this `bet` on drift. No trial, no day."""
        if passes + fails == 0:
            return self
        small, middle, large = (
            (1 + value) * _ratio(bet.g, low, passes, fails)
            for value, low in zip(self.values, _lower(bet.bar), strict=True)
        )
        return Detector((small, middle, large), self.days + 1)


def watched(anchors: Sequence[float]) -> list[Stratum]:
    """The strata that are watched: those of drift, and also such as are too small for rounds."""
    return strata(anchors, smallest=1)


def drawn(eval_ids: Iterable[str], count: int, agent: str, day: date) -> list[str]:
    """The evals of a stratum to run on `day`: so many at random, the same whoever asks."""

    def lot(eval_id: str) -> bytes:
        return hashlib.blake2b(f"{agent}/{day.isoformat()}/{eval_id}".encode()).digest()

    return sorted(sorted(eval_ids, key=lot)[:count])


def _lower(floor: float) -> tuple[float, float, float]:
    """The rates that are bet on: the floor, an even coin (or half of the floor), and one between them."""
    lowest = min(EVEN, floor / 2)
    return floor, 1 - math.sqrt((1 - floor) * (1 - lowest)), lowest


def _ratio(edge: float, low: float, passes: int, fails: int) -> float:
    on_pass, on_fail = log_steps(edge, low)
    return math.exp(min(passes * on_pass + fails * on_fail, _MOST))
