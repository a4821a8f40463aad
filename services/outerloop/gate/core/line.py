"""Line: on which side of a line a pass rate lies, when nothing is known of it beforehand.

The claim of a confirmation bets on one rate, because a history tells which. Of a base that is said to fail
there is none: it may fail always or half of the time. So the bet is on all rates on that side alike: the
e-value is the likelihood ratio to the line c, averaged over a uniform q (s passes, f fails):

    below = ln  1/c     ∫_0^c q^s (1−q)^f dq / (c^s (1−c)^f)     against p ≥ c
    above = ln  1/(1−c) ∫_c^1 q^s (1−q)^f dq / (c^s (1−c)^f)     against p ≤ c

For each q a non-negative supermartingale under its null that starts at 1, and so is their mean (Robbins 1970;
Ville 1939 gives the level at any stopping time). With c = .55 a base that fails always is proven to be below
at .05 by six trials.
"""

import numpy as np
from scipy.special import betainc, betaincc, betaln  # type: ignore[import-untyped]

from outerloop.gate.core.claim import Floats

Counts = Floats | float


def log_below(passes: Counts, fails: Counts, line: float) -> Floats:
    """The logarithm of the e-value against "at or above the line", of counts or arrays of one shape."""
    with np.errstate(divide="ignore"):  # a share that is 0 in floating point: no evidence, −∞
        log_e: Floats = _ratio(passes, fails, line) + np.log(betainc(passes + 1, fails + 1, line) / line)
    return log_e


def log_above(passes: Counts, fails: Counts, line: float) -> Floats:
    """The same against "at or below the line"."""
    with np.errstate(divide="ignore"):
        log_e: Floats = _ratio(passes, fails, line) + np.log(
            betaincc(passes + 1, fails + 1, line) / (1 - line)
        )
    return log_e


def _ratio(passes: Counts, fails: Counts, line: float) -> Floats:
    ratio: Floats = betaln(passes + 1, fails + 1) - passes * np.log(line) - fails * np.log1p(-line)
    return ratio
