"""Drift: "the mean pass rate of a stratum is above its floor", from trials that the prior evals make anyway.

A prior eval may slip inside its margin, and many evals that slip a little are a worse agent. So the r-th
trial of every eval of a stratum is a round, and complete rounds feed one claim on the pooled counts. With
unequal rates p_i the factor of a round is a product of terms linear in p_i, so by the inequality of
arithmetic and geometric means its expectation is at most that of equal rates: the pooled claim is valid for
the mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.gate.core.claim import OPEN, Bet, Claim, State, Thresholds, log_steps
from outerloop.gate.core.spending import alpha_of

SOLID = 0.95  # an eval with at least this anchor is solid; the rest are flaky
SMALLEST_STRATUM = 5
ROUNDS = 24
# A floor is frozen, but α_k falls over a life: it is set so that 24 rounds certify it still after 80 failed
# confirmations (α_80 = 8.3e-5), but for about 1 % (2.326 standard deviations). Before that it takes fewer.
DESIGN_ALPHA = alpha_of(80)
_MISS_DEVIATIONS = 2.326
_BISECTIONS = 60


def margin_of(anchor: float, evals: int) -> float:
    """ε: the smallest margin under `anchor`, the mean of `evals` base rates, that 24 rounds certify.

    Rounds are pooled, so S of N = 24·evals trials pass; up is linear in S, and it is normal to good
    approximation: ε solves  E[up] − 2.326·sd[up] = ln(1/α)  at the true rate `anchor`, bet p1 = anchor − ε/5.
    """
    trials = ROUNDS * evals
    low, high = 0.0, anchor - min(0.01, anchor / 2)  # where a stratum is too small for any, the widest
    for _ in range(_BISECTIONS):
        epsilon = (low + high) / 2
        on_pass, on_fail = log_steps(anchor - epsilon, anchor - epsilon / 5)
        mean = trials * (anchor * on_pass + (1 - anchor) * on_fail)
        deviation = (on_pass - on_fail) * math.sqrt(trials * anchor * (1 - anchor))
        if mean - _MISS_DEVIATIONS * deviation >= math.log(1 / DESIGN_ALPHA):
            high = epsilon
        else:
            low = epsilon
    return high


def drift_bet(anchor: float, evals: int) -> Bet:
    """The floor of a stratum as a bar, A − ε, with the bets p1 = A − ε/5 and g = A − ε/3."""
    epsilon = margin_of(anchor, evals)
    return Bet(anchor - epsilon, anchor - epsilon / 5, anchor - epsilon / 3)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Evals that are pooled: their positions among the prior evals, and the bet on their mean."""

    name: str
    members: tuple[int, ...]
    bet: Bet


def strata(anchors: Sequence[float], smallest: int = SMALLEST_STRATUM) -> list[Stratum]:
    """The strata of prior evals with these frozen base rates; one of fewer than `smallest` evals is none."""
    solid = tuple(i for i, anchor in enumerate(anchors) if anchor >= SOLID)
    flaky = tuple(i for i, anchor in enumerate(anchors) if anchor < SOLID)
    return [
        Stratum(name, members, drift_bet(sum(anchors[i] for i in members) / len(members), len(members)))
        for name, members in (("solid", solid), ("flaky", flaky))
        if len(members) >= smallest
    ]


def drift_thresholds(alpha: float, pools: int, beta: float) -> Thresholds:
    """ln(1/α) and ln(8·pools/β)."""
    return Thresholds(math.log(1 / alpha), math.log(8 * pools / beta))


class Pool:
    """The drift claim of one stratum in the course of its rounds."""

    def __init__(self, stratum: Stratum, at: Thresholds) -> None:
        self.stratum = stratum
        self.claim = Claim(stratum.bet, at)
        self.rounds = 0
        self._size = len(stratum.members)
        self._in: list[int] = []  # how many members have made their r-th trial
        self._passed: list[int] = []
        self._parked: list[list[int]] = []  # members that have made r trials and make no more of their own

    def count(self, number: int, *, passed: bool) -> State:
        """Count a member's trial, its `number`-th from 0; rounds count when complete, one after another."""
        while len(self._in) <= number:
            self._in.append(0)
            self._passed.append(0)
        self._in[number] += 1
        self._passed[number] += passed
        while self.claim.state is OPEN and self._complete(self.rounds):
            passes = self._passed[self.rounds]
            self.rounds += 1
            self.claim.count(passes, self._size - passes)
        return self.claim.state

    def park(self, member: int, trials: int) -> None:
        """The member has made `trials` and is certified: it makes another only for a round."""
        while len(self._parked) <= trials:
            self._parked.append([])
        self._parked[trials].append(member)

    def lacking(self) -> list[int]:
        """The members that the next round still waits for, when all are parked; they are parked no more."""
        members = self._parked[self.rounds]
        self._parked[self.rounds] = []
        return members

    def _complete(self, number: int) -> bool:
        return number < len(self._in) and self._in[number] == self._size
