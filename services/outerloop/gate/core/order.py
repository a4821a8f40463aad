"""Order: which prior eval is tried first: the likeliest to break for its cost, so bad changes die early."""

from collections.abc import Sequence

from outerloop.gate.core.case import PriorEval

# A change that touches what an eval depends on breaks it so many times likelier than another; a guess that
# only costs trials when it is wrong.
TOUCHES = 5.0


def hazard(blocks: int, decisions: int, *, touched: bool) -> float:
    """How likely a change breaks an eval: (blocks + ½) / (decisions + 1) of the past, times `TOUCHES`."""
    return (blocks + 0.5) / (decisions + 1) * (TOUCHES if touched else 1)


def by_hazard(priors: Sequence[PriorEval]) -> list[int]:
    """The positions of the evals, the greatest hazard per cost first; as they were given among equals."""
    return sorted(range(len(priors)), key=lambda i: -priors[i].hazard / priors[i].cost)
