"""Rivals: the rules that people use instead, on the same simulated agents.

A rule gets a coin of each eval (0 the new one, then the prior ones), and says whether the change ships. All
but the z-test stop at the first eval that does not hold.
"""

import math
import random
from collections.abc import Callable
from functools import cache

from scipy.stats import binom  # type: ignore[import-untyped]

from outerloop.gate.core.case import PriorEval
from outerloop.gate.core.claim import bets, log_steps
from outerloop.gate.core.spending import alpha_of
from outerloop.gate.simulate.play import World


class Coins:
    """The evals of a world as coins; `calls` counts the tosses."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.calls = 0
        self._rates = [world.new, *world.rates]
        self._rng = rng

    @property
    def evals(self) -> range:
        """0 is the new eval."""
        return range(len(self._rates))

    @property
    def base(self) -> list[float]:
        """What the base did in its history; the new eval's bar stands for a good fix."""
        return [self.world.bar, *(p.passes / p.trials for p in self.world.priors)]

    def toss(self, i: int) -> bool:
        """One trial."""
        self.calls += 1
        return self._rng.random() < self._rates[i]

    def base_toss(self, prior: PriorEval) -> bool:
        """A run of the base, made before and so not counted."""
        return self._rng.random() < prior.anchor


_FIVE_PERCENT = -1.645  # quantile of the normal distribution

Rule = Callable[[Coins], bool]


def one_run(coins: Coins) -> bool:
    """Every eval passes once."""
    return all(coins.toss(i) for i in coins.evals)


def retry(coins: Coins) -> bool:
    """Every eval passes in one of up to three runs."""
    return all(any(coins.toss(i) for _ in range(3)) for i in coins.evals)


def pass_five(coins: Coins) -> bool:
    """Every eval passes five times in a row (pass^5)."""
    return all(coins.toss(i) for i in coins.evals for _ in range(5))


def ten_trials(coins: Coins) -> bool:
    """Every eval passes at least 10·(base − .2) of ten runs, the new one its bar. Stops when it is known."""
    rates = [base - 0.2 if i else base for i, base in enumerate(coins.base)]
    return all(_curtailed(coins, i, 10, math.ceil(10 * rate - 1e-9)) for i, rate in enumerate(rates))


def suite_mean(coins: Coins) -> bool:
    """Three of four of the new eval; then ten runs each, the mean not worse than ten of the base (z, 5 %)."""
    if not _curtailed(coins, 0, 4, 3):
        return False
    n = 10 * len(coins.world.priors)
    now = sum(coins.toss(i) for i in coins.evals[1:] for _ in range(10)) / n
    before = sum(coins.base_toss(p) for p in coins.world.priors for _ in range(10)) / n
    pooled = (now + before) / 2
    deviation = math.sqrt(pooled * (1 - pooled) * 2 / n)
    return not deviation or (now - before) / deviation > _FIVE_PERCENT


def sprt(coins: Coins) -> bool:
    """Wald's test of the bar against the base's rate, .05/.05, on one eval after another."""
    edge = math.log(0.95 / 0.05)
    rows = [(p.bar, p.passes, p.trials) for p in coins.world.priors]
    steps = [log_steps(coins.world.bar, 0.95), *(log_steps(bet.bar, bet.p1) for bet in bets(rows))]
    for i, (on_pass, on_fail) in zip(coins.evals, steps, strict=True):
        llr = 0.0
        while -edge < llr < edge:
            llr += on_pass if coins.toss(i) else on_fail
        if llr <= -edge:
            return False
    return True


def fixed_n(coins: Coins) -> bool:
    """On every eval as many runs as an exact binomial test needs at this gate's α_1 and β."""
    claims = len(coins.world.priors) + 2
    rows = [(p.bar, p.passes, p.trials) for p in coins.world.priors]
    pairs = [(coins.world.bar, 0.95), *((bet.bar, bet.p1) for bet in bets(rows))]
    return all(
        _curtailed(coins, i, *_design(round(b, 4), round(g, 4), claims))
        for i, (b, g) in zip(coins.evals, pairs, strict=True)
    )


def peeking_bayes(coins: Coins) -> bool:
    """Looks after each of up to 50 trials of an eval, and takes P(rate > bar) ≥ .95 for proof."""
    bars = [coins.world.bar, *(p.bar for p in coins.world.priors)]
    for i, bar in zip(coins.evals, bars, strict=True):
        passes = 0
        for n in range(1, 51):
            passes += coins.toss(i)
            if passes >= _convincing(round(bar, 4), n):
                break
        else:
            return False
    return True


RULES: dict[str, Rule] = {
    "one run each": one_run,
    "retry up to 3": retry,
    "pass^5": pass_five,
    "10 trials, ≥ base − .2": ten_trials,
    "suite mean z-test": suite_mean,
    "SPRT .05/.05": sprt,
    "fixed n, same guarantee": fixed_n,
}
PERSISTENT_RULES: dict[str, Rule] = {
    "one run each": one_run,
    "retry up to 3": retry,
    "suite mean z-test": suite_mean,
    "peeking Bayes": peeking_bayes,
    "SPRT .05/.05": sprt,
}


def _curtailed(coins: Coins, i: int, n: int, needed: int) -> bool:
    """Whether at least `needed` of `n` pass, tossing no more than it takes to know."""
    passes = fails = 0
    while passes < needed and fails <= n - needed:
        if coins.toss(i):
            passes += 1
        else:
            fails += 1
    return passes >= needed


@cache
def _design(bar: float, good: float, claims: int) -> tuple[int, int]:
    """(n, needed) of the smallest test with P(pass | bar) ≤ α_1 and P(fail | good) ≤ β/2m."""
    n = 1
    while True:
        needed = int(binom.isf(alpha_of(1), n, bar)) + 1
        if binom.cdf(needed - 1, n, good) <= 0.02 / (2 * claims):
            return n, needed
        n += 1


@cache
def _convincing(bar: float, n: int) -> int:
    """The fewest passes of `n` with which a flat prior gives P(rate > bar) ≥ .95; n + 1 if none."""
    # P(rate > bar) of Beta(s + 1, n − s + 1) is P(Binomial(n + 1, bar) ≤ s).
    return int(binom.ppf(0.95, n + 1, bar))
