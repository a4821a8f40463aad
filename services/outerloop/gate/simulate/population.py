"""Population: the suites and changes that the table and the lives are played on.

Base rates mostly .98 to 1 (88 % of the evals, 18 of 20), the others .7 to .9; a history of 100 trials each;
anchors at the true base rates; bars of the standard margin. The bars are *not* rounded down to a multiple of
.025 here, because those of the published figures were not (the characteristic printed for "b = .725" is that
of b = 98.5/101 − .25 = .72525). Rounding saves about 6 % of the trials, of gate and bound alike.
"""

import random
from dataclasses import replace
from enum import StrEnum

from outerloop.gate.core.bars import HIGHEST, LOWEST, Margin, shown_rate
from outerloop.gate.core.case import PriorEval
from outerloop.gate.simulate.play import World

HISTORY = 100
DROP = 0.3
SOLID = (0.98, 1.0)
FLAKY = (0.7, 0.9)
FLAKY_SHARE = 0.12
NEW_BAR = 0.75
GOOD, GOOD_HELD_OUT = 0.97, 0.95
# The evals come in the order of their hazard: first those whose component the change touches, and what it
# breaks is one of them. How many they are the page does not say; this share gives its calls of bad changes.
TOUCHED = 0.5
UNFIXED = 0.4  # how often an agent passes the new eval that the change does not fix


class Change(StrEnum):
    """What a simulated change does."""

    GOOD = "good"
    BREAKS = "drops one eval by .3"
    COSMETIC = "does not fix anything"


def suite_world(evals: int, rng: random.Random) -> World:
    """A suite of `evals`, and a change to it that is as good as the base and fixes the new eval."""
    flaky = round(FLAKY_SHARE * evals)
    rates = [rng.uniform(*(FLAKY if i < flaky else SOLID)) for i in range(evals)]
    rng.shuffle(rates)
    priors = tuple(_prior(i, rate, rng) for i, rate in enumerate(rates))
    return World(bar=NEW_BAR, priors=priors, rates=rates, new=GOOD, held_out=GOOD_HELD_OUT)


def changed(world: World, change: Change, rng: random.Random) -> World:
    """The world under another change than the good one."""
    if change is Change.COSMETIC:
        return replace(world, new=UNFIXED, held_out=UNFIXED)
    if change is Change.BREAKS:
        rates = list(world.rates)
        rates[rng.randrange(max(1, round(TOUCHED * len(rates))))] -= DROP
        return replace(world, rates=rates)
    return world


def _prior(number: int, rate: float, rng: random.Random) -> PriorEval:
    passes = sum(rng.random() < rate for _ in range(HISTORY))
    bar = min(max(shown_rate(passes, HISTORY) - Margin.STANDARD, LOWEST), HIGHEST)
    return PriorEval(eval_id=f"e{number}", bar=bar, anchor=rate, passes=passes, trials=HISTORY)
