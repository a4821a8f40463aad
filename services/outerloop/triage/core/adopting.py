"""Adopting: whether what was learned may judge in place of what judges now. Pure."""

from outerloop.triage.core.measuring import LEAST_CALLED, Measured
from outerloop.triage.core.taught import PRECISION


def may_replace(new: Measured, old: Measured) -> tuple[bool, str]:
    """Whether `new` is not worse than `old`, both measured on the same traces; and the reason in words.

    False alarms are what costs trust: so precision decides, and what cannot be measured is not adopted.
    """
    said = f"{new.said()}; the one in use is {old.said()}"
    if new.right >= old.right and new.called - new.right <= old.called - old.right:
        return True, f"finds no less, and raises no more false alarms: {said}"
    if new.precision is None:
        return False, f"calls fewer than {LEAST_CALLED} labelled traces failures, too few to measure: {said}"
    if old.precision is None:
        enough = new.precision >= PRECISION
        return enough, f"precision {new.precision:.2f}, asked are {PRECISION}: {said}"
    better = new.precision >= old.precision
    return better, f"precision {new.precision:.2f} in place of {old.precision:.2f}: {said}"
