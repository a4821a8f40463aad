"""Reproduction: whether the base fails an eval, by trials that count in their order.

It does when its pass rate is proven to be below the bar less .2, and does not when it is proven to be above,
each at .05. The e-value is the likelihood ratio to that line c, averaged over all rates q on the one side
(s passes, f fails); for whole counts the incomplete beta function is a tail of the binomial distribution:

    below = ln  1/c     ∫_0^c q^s (1−q)^f dq / (c^s (1−c)^f)     against p ≥ c
    above = ln  1/(1−c) ∫_c^1 q^s (1−q)^f dq / (c^s (1−c)^f)     against p ≤ c

The gate asks the base in the same way before a change is tried: what is found here is what it will find.
"""

import math
from dataclasses import dataclass

BELOW = 0.2
LEVEL = 0.05
_PROVEN = math.log(1 / LEVEL)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the base's trials have shown. Undecided by `most` trials, it is not proven."""

    line: float
    most: int
    passed: int = 0
    failed: int = 0

    @property
    def trials(self) -> int:
        """How many have counted."""
        return self.passed + self.failed

    @property
    def reproduced(self) -> bool | None:
        """Whether the base is proven to fail; None while more trials are needed."""
        if log_below(self.passed, self.failed, self.line) >= _PROVEN:
            return True
        above = log_above(self.passed, self.failed, self.line) >= _PROVEN
        return False if above or self.trials >= self.most else None

    def count(self, *, passed: bool) -> "Asked":
        """With one more trial."""
        return Asked(self.line, self.most, self.passed + passed, self.failed + (not passed))


def asking(bar: float, most: int) -> Asked:
    """The question before the first trial, of an eval whose change must be proven above `bar`."""
    return Asked(round(bar - BELOW, 6), most)


def log_below(passes: int, fails: int, line: float) -> float:
    """The logarithm of the e-value against "at or above the line"."""
    return _ratio(passes, fails, line) + _log(_tail(passes, fails, line) / line)


def log_above(passes: int, fails: int, line: float) -> float:
    """The logarithm of the e-value against "at or below the line"."""
    # The other side of the line is the same question of fails.
    return _ratio(passes, fails, line) + _log(_tail(fails, passes, 1 - line) / (1 - line))


def _ratio(passes: int, fails: int, line: float) -> float:
    log_beta = math.lgamma(passes + 1) + math.lgamma(fails + 1) - math.lgamma(passes + fails + 2)
    return log_beta - passes * math.log(line) - fails * math.log1p(-line)


def _tail(successes: int, failures: int, rate: float) -> float:
    """I_rate(successes + 1, failures + 1): P(more than `successes` of n + 1 at this rate)."""
    n = successes + failures + 1
    return sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(successes + 1, n + 1))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
