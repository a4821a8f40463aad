"""Shown: a claim as a certificate keeps it. Its e-values follow from these numbers, so they are not kept."""

from dataclasses import dataclass

from outerloop.gate.core.case import Evidence, Kind
from outerloop.gate.core.claim import Bet, log_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A claim at the verdict: `passed` of `trials`, against `bar`, with the bets that were placed before.

    `name` is an eval's id, and `content_sha256` that eval's content; of drift, a stratum's name and "".
    """

    kind: Kind
    name: str
    content_sha256: str
    bar: float
    p1: float
    g: float
    passed: int
    trials: int

    @classmethod
    def of(cls, evidence: Evidence, content_sha256: str) -> "Shown":
        """What a verdict's claim is in its certificate."""
        return cls(
            kind=evidence.kind,
            name=evidence.name,
            content_sha256=content_sha256,
            bar=evidence.bar,
            p1=evidence.p1,
            g=evidence.g,
            passed=evidence.passes,
            trials=evidence.trials,
        )

    @property
    def up(self) -> float:
        """The logarithm of the e-value against "at or below the bar".

        Raises:
            ValueError: if these are no counts, or no bets.
        """
        bet = Bet(self.bar, self.p1, self.g)
        return self._log_e(bet.bar, bet.p1)

    @property
    def dn(self) -> float:
        """The logarithm of the e-value against "at or above g"; raises as `up`."""
        bet = Bet(self.bar, self.p1, self.g)
        return self._log_e(bet.g, bet.bar)

    def _log_e(self, null: float, bet: float) -> float:
        if not 0 <= self.passed <= self.trials:
            raise ValueError(f"{self.passed} of {self.trials} trials cannot have passed")
        on_pass, on_fail = log_steps(null, bet)
        return self.passed * on_pass + (self.trials - self.passed) * on_fail
