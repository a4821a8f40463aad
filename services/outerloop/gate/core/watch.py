"""Watch: what production proves of a release, from counts of settled traces. Pure.

Every question is "is this share of traces above (below) a bar?", and the bar is frozen from the traces before
the release. The answer is an e-process over the traces since, as in `claim`: a mixture of Wald's likelihood
ratios, a function of the counts alone, so it is recomputed from the tables whenever one looks, and by Ville's
inequality looking every few seconds is free: P(e ever ≥ 1/level | the share is at most the bar) ≤ level.

**False rollback.** For a release that changes no share, P(ever rolled back) ≤ ALPHA_ROLLBACK. The level is
divided: one half evenly over the measures that are known at the release (the other modes, all failures but
those of the closed mode, slow and costly traces), the other over modes that are new since, the j-th one that
appears getting 1/(j(j+1)) of it. Of the level of each measure one half pays for the bar (it is above a
Clopper-Pearson limit of the share before, which is exact: Jeffreys' is not), one half for the e-process. A
new mode counts from its first trace on and without it: what makes us look must not be evidence too.

**Not guaranteed**: that it was the release. Traces are not independent (one customer tries ten times, a tool
is away for ten minutes), so a rollback also needs LEAST_FAILURES traces in LEAST_SPREAD spells of five
minutes and as many sessions (without sessions, in more spells: `is_widespread`); and where other versions run
beside the release, a share must be above theirs as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from scipy.special import betaincinv  # type: ignore[import-untyped]

from outerloop.gate.core.claim import log_steps

ALPHA_ROLLBACK = 0.01
ALPHA_MODE = 0.01  # of "confirmed closed", and of "regressed"
LEAST_FAILURES = 5
LEAST_SPREAD = 3
# Traces that name no session may all be one customer's, who tries again and again: but hardly for so long.
UNNAMED_SPELLS, UNNAMED_OVER = 12, timedelta(hours=6)
# The closed mode's bar: this part of its rate before, by a cautious reading of it.
BAR_OF_BEFORE = 0.5
BEFORE_QUANTILE = 0.05
# What is worth undoing a release for: a hundredth of all traffic, and a tenth of what there was. Less than
# that is how traffic changes from week to week.
LEAST_MARGIN, RELATIVE_MARGIN = 0.01, 0.1
BAR_MOST = 0.95
_LADDER = 6  # bets lie 1/2, 1/4, … 1/64 of the way from the bar to 1
# As for the drift of a provider: one false alarm in so many days on which the mode has traffic.
RECURRENCE_DAYS = 1000
_MOST_NATS = 50.0  # of a day: more is proof enough, and e to the power of it still a number

OTHER_FAILURES = "other failures"
SLOW = "slow traces"
COSTLY = "costly traces"
HEALTH = (OTHER_FAILURES, SLOW, COSTLY)


class Counts(NamedTuple):
    """So many of so many traces show it."""

    traces: int
    failures: int


NONE = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Measure:
    """One share to watch: a mode by its id, or a measure of health by its name.

    `before` are the traces before the release, `since` those of the release (for a mode that is `new`: those
    after its first), `beside` those of other versions at the same time. `spread` is in how many spells of
    five minutes the failures since lie.
    """

    name: str
    before: Counts
    since: Counts
    spread: int
    beside: Counts = NONE
    new: bool = False


@dataclass(frozen=True, slots=True)
class Worse:
    """A measure that is proven to be above `bar`; `log_e` is the e-value's logarithm less what was asked."""

    measure: Measure
    bar: float
    log_e: float


def worst(measures: Sequence[Measure]) -> Worse | None:
    """The measure that is proven worse since the release if any is: modes first, then by how surely.

    New modes must be in the order in which they first appeared.
    """
    known = [m for m in measures if not m.new]
    new = [m for m in measures if m.new]
    levels = [ALPHA_ROLLBACK / 2 / max(1, len(known))] * len(known)
    levels += [ALPHA_ROLLBACK / 2 / (j * (j + 1)) for j in range(1, len(new) + 1)]
    found = [_worse(measure, level) for measure, level in zip([*known, *new], levels, strict=True)]
    ranked = [(each.measure.name not in HEALTH, each.log_e, each) for each in found if each]
    return max(ranked, key=lambda rank: rank[:2])[2] if ranked else None


def _worse(measure: Measure, level: float) -> Worse | None:
    since = measure.since
    if since.failures < LEAST_FAILURES or measure.spread < LEAST_SPREAD:
        return None
    bar = limit(measure.before, level / 2, measure.beside)
    if bar > BAR_MOST:
        return None
    log_e = log_e_above(bar, since) + math.log(level / 2)
    return Worse(measure, bar, log_e) if log_e >= 0 else None


def is_widespread(sessions: int, spells: int, over: timedelta) -> bool:
    """Whether failures are more than one customer's: they lie in enough `sessions`.

    Or those that name no session do in enough `spells` of five minutes, the last `over` after the first.
    """
    return sessions >= LEAST_SPREAD or (spells >= UNNAMED_SPELLS and over >= UNNAMED_OVER)


def limit(before: Counts, level: float, beside: Counts = NONE) -> float:
    """What a share must be proven to exceed to be worse: P(it was above this before) ≤ `level`; and a margin.

    Where other versions fail at the same time, what they surely fail at is the least that it is held to: this
    can only raise the limit.
    """
    traces, failures = before
    upper = 1.0 if failures >= traces else float(betaincinv(failures + 1, traces - failures, 1 - level))
    upper = max(upper, _lower(beside))
    return upper + max(LEAST_MARGIN, RELATIVE_MARGIN * upper)


def log_e_above(bar: float, since: Counts) -> float:
    """The logarithm of the e-value against "the share is at or below the bar", after these traces."""
    return _mixture(bar, [bar + (1 - bar) / 2**step for step in range(1, _LADDER + 1)], since)


def bar_of(before: Counts) -> float:
    """The closed mode's bar; 0 where it had no traces before, and so nothing can be proven."""
    return BAR_OF_BEFORE * _lower(before) if before.failures else 0.0


def is_closed(bar: float, since: Counts) -> bool:
    """Whether the mode's share is proven to be below its bar."""
    return bar > 0 and _mixture(bar, [bar / 2, bar / 10], since) >= math.log(1 / ALPHA_MODE)


def is_regressed(bar: float, before: Counts, since: Counts, spread: int) -> bool:
    """Whether the mode's share is proven to be above its bar, betting that it is again what it was."""
    if bar <= 0 or since.failures < LEAST_FAILURES or spread < LEAST_SPREAD:
        return False
    was = (before.failures + 0.5) / (before.traces + 1)
    return _mixture(bar, [was, (bar + was) / 2], since) >= math.log(1 / ALPHA_MODE)


def recurs(bar: float, before: Counts, days: Sequence[Counts]) -> Counts | None:
    """The traces that show that a mode is back that was below its bar, since it came back; None if it is not.

    A Shiryaev-Roberts detector over days: its mean time to a false alarm is RECURRENCE_DAYS, however long one
    watches. Days are in order.
    """
    was = (before.failures + 0.5) / (before.traces + 1)
    detector, total, lowest, run = 0.0, 0.0, 0.0, NONE
    for day in days:
        if total <= lowest:  # it came back where the sum of the evidence is least
            lowest, run = total, NONE
        step = _mixture(bar, [was, (bar + was) / 2], day)
        total += step
        run = Counts(run.traces + day.traces, run.failures + day.failures)
        detector = (detector + 1) * math.exp(min(step, _MOST_NATS))
        if detector >= RECURRENCE_DAYS and run.failures >= LEAST_FAILURES:
            return run
    return None


def _lower(counts: Counts) -> float:
    """A share that is surely reached: the 5 % quantile of Jeffreys' posterior; 0 of nothing."""
    traces, failures = counts
    if not failures:
        return 0.0
    return float(betaincinv(failures + 0.5, traces - failures + 0.5, BEFORE_QUANTILE))


def _mixture(bar: float, bets: Sequence[float], since: Counts) -> float:
    """The logarithm of the mean of the likelihood ratios of these bets to the bar."""
    good = since.traces - since.failures
    logs = [since.failures * up + good * down for up, down in (log_steps(bar, bet) for bet in bets)]
    top = max(logs)
    return top + math.log(sum(math.exp(each - top) for each in logs) / len(logs))
