"""Lower bound: the least expected number of trials of any gate that gives the same guarantee.

Kaufmann, Cappé & Garivier (arXiv 1407.4443, Lemma 1): if the verdict "ship" has probability at least q in the
world as it is and at most a in another world, the trials N_i of the evals whose rates differ satisfy
Σ E[N_i]·kl(p_i, p'_i) ≥ d(q, a). Each eval has a world of its own in which only it is at its bar.
"""

import math
from collections.abc import Sequence


def kl(p: float, q: float) -> float:
    """d(p, q): the Kullback-Leibler divergence of two coins, in nats."""

    def term(x: float, y: float) -> float:
        if x == 0:
            return 0.0
        return x * math.log(x / y) if y > 0 else math.inf

    return term(p, q) + term(1 - p, 1 - q)


def trials_to_certify(rate: float, bar: float, alpha: float, beta: float) -> float:
    """Of one eval at `rate` above `bar`: proven with error α, and missed with probability at most β."""
    return kl(1 - beta, alpha) / kl(rate, bar)


def trials_to_reject(broken: Sequence[tuple[float, float]], alpha: float, beta: float) -> float:
    """Of a change to reject, in all: `broken` has (its rate, the rate as good as the base) of what it broke.

    The other world is the one in which all of it is as good as the base, where the change must ship.
    """
    widest = max((kl(rate, good) for rate, good in broken), default=0.0)
    return kl(alpha, 1 - beta) / widest if widest else 0.0
