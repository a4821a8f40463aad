"""Operating characteristic of a sequential test: how it ends, exactly, at a given true pass rate.

Dynamic programming over the counts: after n trials the test is open with some number of passes, and the
distribution of that number moves on by one coin. No sampling, no approximation but floating point.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outerloop.gate.core.claim import Bet, Floats, Thresholds, log_steps

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Characteristic:
    """Probabilities of how a test ends; `trials` is how many it takes, on average."""

    certify: float
    block: float
    undecided: float
    trials: float


# Which of the counts (passes, fails), arrays of one shape, certify and which block.
Decided = Callable[[Floats, Floats], tuple[Bools, Bools]]


def characteristic(bet: Bet, at: Thresholds, rate: float, cap: int = 500) -> Characteristic:
    """How a claim ends within `cap` trials of a candidate whose true pass rate is `rate`."""
    up_pass, up_fail = log_steps(bet.bar, bet.p1)
    dn_pass, dn_fail = log_steps(bet.g, bet.bar)

    def decided(passes: Floats, fails: Floats) -> tuple[Bools, Bools]:
        up = passes * up_pass + fails * up_fail >= at.certify
        return up, passes * dn_pass + fails * dn_fail >= at.block

    return ends(decided, rate, cap)


def ends(decided: Decided, rate: float, cap: int) -> Characteristic:
    """How a test that looks at its counts after every trial ends; what certifies and blocks certifies."""
    open_: Floats = np.ones(1)  # by number of passes
    certify = block = trials = 0.0
    for n in range(1, cap + 1):
        trials += float(open_.sum())
        moved: Floats = np.zeros(n + 1)
        moved[1:] += open_ * rate
        moved[:-1] += open_ * (1 - rate)
        passes = np.arange(n + 1, dtype=np.float64)
        up, dn = decided(passes, n - passes)
        dn &= ~up
        certify += float(moved[up].sum())
        block += float(moved[dn].sum())
        moved[up | dn] = 0
        open_ = moved
    return Characteristic(certify, block, float(open_.sum()), trials)


def certified_at_the_bar(bet: Bet, alphas: Floats, cap: int = 500) -> Floats:
    """P(certify) of a candidate exactly at the bar, at each of `alphas`; never blocked, so an upper bound.

    One dynamic programme for all levels at once: shape (levels, passes).
    """
    up_pass, up_fail = log_steps(bet.bar, bet.p1)
    needed = np.log(1 / alphas)[:, None]
    open_: Floats = np.ones((len(alphas), 1))
    certified: Floats = np.zeros(len(alphas))
    for n in range(1, cap + 1):
        moved: Floats = np.zeros((len(alphas), n + 1))
        moved[:, :-1] = open_ * (1 - bet.bar)
        moved[:, 1:] += open_ * bet.bar
        passes = np.arange(n + 1)
        done = passes * up_pass + (n - passes) * up_fail >= needed
        certified += moved.sum(axis=1, where=done)
        moved[done] = 0
        open_ = moved
    return certified


def ever(probabilities: Floats) -> float:
    """The probability that any of independent events happens."""
    return -math.expm1(float(np.log1p(-probabilities).sum()))
