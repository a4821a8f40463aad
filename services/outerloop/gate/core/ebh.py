"""e-BH: which of many null hypotheses to reject so that at most a share `fdr` of the rejected is true.

The Benjamini-Hochberg procedure on e-values (Wang & Ramdas 2022, "False discovery rate control with
e-values", JRSS B 84, arXiv 2009.02824, Theorem 1): with e_[k] the k-th largest of m, reject the K largest for
the largest K with e_[K] ≥ m / (fdr·K). It holds the expected share of false ones under `fdr` however the
e-values depend on each other, and an e-process stopped at any stopping time is an e-value.
"""

import math
from collections.abc import Sequence


def rejected(log_e: Sequence[float], fdr: float) -> list[int]:
    """The positions of the rejected hypotheses, in order; `log_e` has the logarithm of each one's e-value."""
    largest_first = sorted(range(len(log_e)), key=lambda i: -log_e[i])
    count = 0
    for k, i in enumerate(largest_first, start=1):
        if log_e[i] >= least_log_e(len(log_e), fdr, k):
            count = k
    return sorted(largest_first[:count])


def least_log_e(hypotheses: int, fdr: float, together: int = 1) -> float:
    """The e-value, as a logarithm, that rejects one of so many when so many are rejected `together`."""
    return math.log(hypotheses / (fdr * together))
