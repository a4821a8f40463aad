"""Operating characteristic of a claim: how it ends, exactly, at a given true pass rate.

Dynamic programming over the counts: after n trials the claim is open with some number of passes, and the
distribution of that number moves on by one coin. No sampling, no approximation but floating point.
"""

import math
from dataclasses import dataclass

import numpy as np

from outerloop.gate.core.claim import Bet, Floats, Thresholds, log_steps


@dataclass(frozen=True, slots=True)
class Characteristic:
    """Probabilities of how a claim ends; `trials` is how many it takes, on average."""

    certify: float
    block: float
    undecided: float
    trials: float


def characteristic(bet: Bet, at: Thresholds, rate: float, cap: int = 500) -> Characteristic:
    """How a claim ends within `cap` trials of a candidate whose true pass rate is `rate`."""
    up_pass, up_fail = log_steps(bet.bar, bet.p1)
    dn_pass, dn_fail = log_steps(bet.g, bet.bar)
    open_: Floats = np.ones(1)  # by number of passes
    certify = block = trials = 0.0
    for n in range(1, cap + 1):
        trials += float(open_.sum())
        moved: Floats = np.zeros(n + 1)
        moved[1:] += open_ * rate
        moved[:-1] += open_ * (1 - rate)
        passes = np.arange(n + 1)
        up = passes * up_pass + (n - passes) * up_fail >= at.certify
        dn = (passes * dn_pass + (n - passes) * dn_fail >= at.block) & ~up
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
    open_: Floats = np.zeros((len(alphas), cap + 1))
    open_[:, 0] = 1
    certified: Floats = np.zeros(len(alphas))
    passes = np.arange(cap + 1)
    for n in range(1, cap + 1):
        moved = open_ * (1 - bet.bar)
        moved[:, 1:] += open_[:, :-1] * bet.bar
        done = passes * up_pass + (n - passes) * up_fail >= needed
        certified += np.where(done, moved, 0).sum(axis=1)
        moved[done] = 0
        open_ = moved
    return certified


def ever(probabilities: Floats) -> float:
    """The probability that any of independent events happens."""
    return -math.expm1(float(np.log1p(-probabilities).sum()))
