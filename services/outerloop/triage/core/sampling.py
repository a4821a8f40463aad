"""Which traces are worth a judge's look, and how much may be spent by now. Pure."""

import hashlib
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

# Also of what the detector is sure of some are looked at: it is there that it does not know what it misses.
# Least of what it calls a failure: that is found already.
_LEAST_WEIGHT = 0.1
_LEAST_DETECTED = 0.02
# A day's money is given out evenly, or the judge would see the first traffic of the day alone; so much ahead.
_AHEAD = timedelta(hours=2)
_DAY = timedelta(days=1)


def weight(score: float, *, detected: bool) -> float:
    """How much a look at a trace of this score may teach: most where the detector is unsure."""
    return max(_LEAST_DETECTED if detected else _LEAST_WEIGHT, 4 * score * (1 - score))


def sample(weights: Iterable[tuple[str, float]], count: int) -> list[str]:
    """`count` of these (trace id, weight), each drawn in proportion to its weight, without replacement.

    Efraimidis and Spirakis (2006), with a hash of the id in place of chance: whoever draws again, draws the
    same.
    """
    keyed = sorted((-math.log(_uniform(trace_id)) / each, trace_id) for trace_id, each in weights)
    return [trace_id for _, trace_id in keyed[:count]]


def allowance(usd_per_day: float, now: datetime) -> float:
    """How much of a day's money may be spent by `now`: its part of the day (UTC), and a little ahead."""
    utc = now.astimezone(UTC)
    over = utc - utc.replace(hour=0, minute=0, second=0, microsecond=0)
    return usd_per_day * min(1.0, (over + _AHEAD) / _DAY)


def _uniform(text: str) -> float:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    return (number + 1) / (2**56 + 1)
