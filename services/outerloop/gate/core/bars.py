"""Bar: the pass rate that an eval must keep. Frozen when its failure was closed; only ever raised."""

import math
from enum import Enum

STEP = 0.025
LOWEST, HIGHEST = 0.30, 0.95
_SLACK = 1e-9  # a bar that is a multiple of STEP but for floating point stays that multiple


class Margin(float, Enum):
    """How far below its shown pass rate an eval may fall, by how much the eval matters."""

    CRITICAL = 0.10
    STANDARD = 0.25
    COLD = 0.40


def shown_rate(passes: int, trials: int) -> float:
    """p̃ = (s + ½) / (n + 1): the mean of the Jeffreys posterior of a pass rate."""
    if not 0 <= passes <= trials:
        raise ValueError(f"{passes} of {trials} trials cannot have passed")
    return (passes + 0.5) / (trials + 1)


def frozen_bar(passes: int, trials: int, margin: float = Margin.STANDARD) -> float:
    """The bar of an eval that was closed by `passes` of `trials`.

    b = p̃ − margin, rounded down to a multiple of `STEP`, kept within [`LOWEST`, `HIGHEST`].
    """
    steps = math.floor((shown_rate(passes, trials) - margin) / STEP + _SLACK)
    return min(max(round(steps * STEP, 3), LOWEST), HIGHEST)


def raised(frozen: float, proposed: float) -> float:
    """The bar from now on, when someone proposes another: a lower one changes nothing."""
    return max(frozen, proposed)
