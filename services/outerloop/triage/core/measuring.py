"""Measuring: what a detector calls failures, beside what is held to be true of the same traces. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

# With fewer labels of either kind a detector would learn names, not signs.
LEAST_OF_EACH = 8
# A share of fewer is no measurement.
LEAST_CALLED = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """Of so many `labels` a detector `called` some failures, `right` of them were; it `missed` others."""

    labels: int = 0
    called: int = 0
    right: int = 0
    missed: int = 0

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool, bool]]) -> "Measured":
        """Count pairs of (called a failure, was one)."""
        known = list(pairs)
        right = sum(called and bad for called, bad in known)
        return cls(len(known), sum(c for c, _ in known), right, sum(b for _, b in known) - right)

    @property
    def precision(self) -> float | None:
        """The share of real failures among those called so; None where LEAST_CALLED were not called."""
        return self.right / self.called if self.called >= LEAST_CALLED else None

    @property
    def recall(self) -> float | None:
        """The share of those called so among the real failures; None where there is none."""
        real = self.right + self.missed
        return self.right / real if real else None

    def said(self) -> str:
        """In words."""
        return f"right in {self.right} of {self.called} calls, {self.missed} missed, by {self.labels} labels"


NOTHING = Measured()
