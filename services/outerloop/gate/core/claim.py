"""Claim: "this pass rate is above its bar", tested one trial at a time.

Two e-processes run on the same trials, with s passes and f fails so far (logarithms, in nats):

    up = s·ln(p1/b) + f·ln((1−p1)/(1−b))     against p ≤ b: certify at up ≥ ln(1/α)
    dn = s·ln(b/g)  + f·ln((1−b)/(1−g))      against p ≥ g: block   at dn ≥ ln(2m/β)

Under its null each is a non-negative supermartingale that starts at 1 (Wald's likelihood ratio at the null's
edge), so by Ville's inequality P(ever certify | p ≤ b) ≤ α and P(ever block | p ≥ g) ≤ β/2m, whenever one
looks. The bets p1 and g are fixed before the first trial; a wrong history makes them cost more trials, never
an error. Both values are functions of the counts alone: a claim resumes from its counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv  # type: ignore[import-untyped]

LEAST_LEAD = 0.05  # of p1 and g over the bar
P1_MOST, G_MOST = 0.9995, 0.99
P1_QUANTILE, G_QUANTILE, G_SLACK = 0.05, 0.01, 0.02
# With no history: how much of the way from the bar to 1 the bets lie. At the default bar of a new eval, .75,
# that is p1 = .95 and g = .9: a fix that holds is certified in about 30 trials, and one that never could be,
# because it passes less than .83 of the time, is soon blocked.
P1_BLIND, G_BLIND = 0.8, 0.6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bet:
    """What a claim bets on: the candidate's rate is `p1`, not `bar`; and `bar`, not `g`, when it is bad."""

    bar: float
    p1: float
    g: float

    def __post_init__(self) -> None:
        if not (0 < self.bar < self.p1 < 1 and self.bar < self.g < 1):
            raise ValueError(f"bets lie above their bar and below 1: {self}")


def bets_from_history(bars: Floats, passes: Floats, trials: Floats) -> list[Bet]:
    """The bets of claims on evals whose base passed `passes` of `trials` (arrays of one length).

    p1 is the 5 % quantile of the base's Jeffreys posterior Beta(s+½, n−s+½), g its 1 % quantile − .02; both
    at least bar + .05; p1 ≤ .9995, g ≤ .99. Without history only bar + .05 is left.
    """
    a, b = passes + 0.5, trials - passes + 0.5
    p1 = np.minimum(np.maximum(betaincinv(a, b, P1_QUANTILE), bars + LEAST_LEAD), P1_MOST)
    g = np.minimum(np.maximum(betaincinv(a, b, G_QUANTILE) - G_SLACK, bars + LEAST_LEAD), G_MOST)
    return [Bet(*each) for each in zip(bars.tolist(), p1.tolist(), g.tolist(), strict=True)]


def blind_bet(bar: float) -> Bet:
    """The bet on a rate that has no history: that of a fix which has never been tried."""
    room = 1 - bar
    p1 = max(bar + P1_BLIND * room, bar + LEAST_LEAD)
    g = max(bar + G_BLIND * room, bar + LEAST_LEAD)
    return Bet(bar, min(p1, P1_MOST), min(g, G_MOST))


class State(StrEnum):
    """Where a claim stands. What is decided stays decided."""

    OPEN = "open"
    CERTIFIED = "certified"
    BLOCKED = "blocked"


OPEN, CERTIFIED, BLOCKED = State.OPEN, State.CERTIFIED, State.BLOCKED


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a claim is decided: at these values of `up` and `dn`, in nats."""

    certify: float
    block: float


def thresholds(alpha: float, claims: int, beta: float) -> Thresholds:
    """ln(1/α) and ln(2m/β), for a claim that is one of `claims` = m in its decision."""
    return Thresholds(math.log(1 / alpha), math.log(2 * claims / beta))


class Claim:
    """One claim in the course of its trials. Counting after the verdict is an error."""

    __slots__ = ("_dn_fail", "_dn_pass", "_up_fail", "_up_pass", "at", "bet", "fails", "passes", "state")

    def __init__(self, bet: Bet, at: Thresholds) -> None:
        self.bet = bet
        self.at = at
        self.passes = 0
        self.fails = 0
        self.state = OPEN
        self._up_pass, self._up_fail = log_steps(bet.bar, bet.p1)
        self._dn_pass, self._dn_fail = log_steps(bet.g, bet.bar)

    @property
    def trials(self) -> int:
        """How many trials have counted."""
        return self.passes + self.fails

    @property
    def up(self) -> float:
        """The logarithm of the e-value against "at or below the bar"."""
        return self.passes * self._up_pass + self.fails * self._up_fail

    @property
    def dn(self) -> float:
        """The logarithm of the e-value against "at or above g"."""
        return self.passes * self._dn_pass + self.fails * self._dn_fail

    def copy(self) -> "Claim":
        """The claim as it stands, to be counted on apart."""
        twin = Claim.__new__(Claim)
        for name in Claim.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def count(self, passes: int, fails: int) -> State:
        """Count one trial, or one round of trials that are only looked at together."""
        if self.state is not OPEN:
            raise ValueError("a decided claim counts no more trials")
        self.passes = s = self.passes + passes
        self.fails = f = self.fails + fails
        if s * self._up_pass + f * self._up_fail >= self.at.certify:
            self.state = CERTIFIED
        elif s * self._dn_pass + f * self._dn_fail >= self.at.block:
            self.state = BLOCKED
        return self.state

    def least_to_decide(self) -> int:
        """A number of further trials without which it cannot be decided, whatever they give; at least 1."""
        certify = (self.at.certify - self.up) / self._up_pass
        block = (self.at.block - self.dn) / self._dn_fail
        return max(1, math.ceil(min(certify, block) - 1e-9))

    def expected_to_certify(self) -> float:
        """About how many more trials it takes to certify if its rate is what was seen, or p1 before that."""
        rate = (self.passes + self.bet.p1) / (self.trials + 1)
        growth = rate * self._up_pass + (1 - rate) * self._up_fail
        return max(1.0, (self.at.certify - self.up) / growth) if growth > 0 else math.inf


def log_steps(null: float, bet: float) -> tuple[float, float]:
    """What a pass and a fail add to the logarithm of the likelihood ratio of `bet` to `null`."""
    return math.log(bet / null), math.log((1 - bet) / (1 - null))


def bets(rows: Sequence[tuple[float, int, int]]) -> list[Bet]:
    """`bets_from_history` for rows of (bar, passes, trials)."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return bets_from_history(table[:, 0], table[:, 1], table[:, 2])
