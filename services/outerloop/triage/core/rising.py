"""Has a mode become more frequent, beyond chance? Pure."""

import math

# Modes are looked at every minute, for months: what happens by chance once in a million looks does happen.
CHANCE = 1e-7
# Below this many times the earlier share a rise is no news.
TIMES = 2.0
# One customer who tries again and again, or one bad minute, is no trend.
LEAST_FAILURES = 5
LEAST_SPELLS = 3


def is_rising(before: tuple[int, int], now: tuple[int, int], spells: int) -> bool:
    """Whether the share of failures has risen. `before` and `now` are traces and failures among them.

    `spells`: in how many spells of five minutes the failures of now lie. The test is the conditional binomial
    test of two Poisson rates (Przyborowski & Wilenski 1940): given all failures, those of now are binomial
    with the share of traffic that is now.
    """
    (traces_before, failed_before), (traces_now, failed_now) = before, now
    if failed_now < LEAST_FAILURES or spells < LEAST_SPELLS or not traces_before:
        return False
    if failed_now * traces_before < TIMES * failed_before * traces_now:
        return False
    share = traces_now / (traces_before + traces_now)
    return _log_tail(failed_now, failed_before + failed_now, share) < math.log(CHANCE)


def _log_tail(least: int, among: int, share: float) -> float:
    """The logarithm of P(X >= least) for X binomial(among, share)."""
    terms = [
        _log_choose(among, k) + k * math.log(share) + _rest(among - k, share) for k in range(least, among + 1)
    ]
    top = max(terms)
    return top + math.log(math.fsum(math.exp(t - top) for t in terms))


def _rest(times: int, share: float) -> float:
    if not times:
        return 0.0
    return times * math.log1p(-share) if share < 1 else -math.inf


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
