"""Fresh: the new eval's part of a confirmation: a cheap screen, then its claim and that of its variants.

Indices 0 to 3 are the screen, whose trials are thrown away; the claims count from index 4 on, also when the
screen was decided after three. Every trial of the new claim draws the eval itself or one of its held-out
variants, all alike; the variants' trials feed the held-out claim too, which goes on alone if it is the last.
"""

import hashlib

from outerloop.gate.core.case import Evidence, Kind, NewEval, Outcome, Stop
from outerloop.gate.core.claim import BLOCKED, OPEN, Claim, Thresholds, blind_bet

SCREEN_TRIALS, SCREEN_PASSES = 4, 3
HELD_OUT_SLACK = 0.1  # how far below the bar of the new eval the mean of its variants may be


class Fresh:
    """The new eval in the course of its trials. `index` is that of the trial to count next."""

    def __init__(self, new: NewEval, seed: str, at: Thresholds, cap: int) -> None:
        self._new = new
        self._seed = seed
        self._cap = cap
        self.claim = Claim(blind_bet(new.bar), at)
        self.held_out = Claim(blind_bet(new.bar - HELD_OUT_SLACK), at) if new.variants else None
        self.screen_passes = self.screen_fails = 0
        self.index = 0
        self.stop: Stop | None = None

    @property
    def screened(self) -> bool:
        """Whether the screen is passed."""
        return self.screen_passes >= SCREEN_PASSES

    @property
    def done(self) -> bool:
        """Whether nothing is left to try."""
        return self.screened and not self._open()

    @property
    def least(self) -> int:
        """How many trials from `index` on are needed, whatever they give."""
        if self.index < SCREEN_TRIALS:
            return min(SCREEN_PASSES - self.screen_passes, self._to_fail_screen())
        return self._open()[0].least_to_decide()

    def variant(self, index: int) -> int:
        """What the trial `index`, one of the next `least`, is of: 0 the eval itself, else a variant."""
        if index < SCREEN_TRIALS or not self._new.variants:
            return 0
        digest = hashlib.blake2b(f"{self._seed}/{index}".encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big")
        if self.claim.state is OPEN:
            return draw % (self._new.variants + 1)
        return draw % self._new.variants + 1

    def count(self, *, passed: bool) -> None:
        """Count the trial `index`."""
        if self.index < SCREEN_TRIALS:
            self._screen(passed=passed)
            return
        variant = self.variant(self.index)
        self.index += 1
        if self.claim.state is OPEN:
            self._count(Kind.NEW, self.claim, passed=passed)
        if variant and self.held_out is not None and self.held_out.state is OPEN and self.stop is None:
            self._count(Kind.HELD_OUT, self.held_out, passed=passed)

    def evidence(self) -> list[Evidence]:
        """The claims so far; none before the screen is passed."""
        if not self.screened:
            return []
        claims = [(Kind.NEW, self.claim), (Kind.HELD_OUT, self.held_out)]
        return [Evidence.of(kind, self._new.eval_id, claim) for kind, claim in claims if claim]

    def _screen(self, *, passed: bool) -> None:
        self.screen_passes += passed
        self.screen_fails += not passed
        self.index += 1
        if self.screened:
            self.index = SCREEN_TRIALS
        elif self._to_fail_screen() == 0:
            self.stop = Stop(Outcome.REJECT, Kind.SCREEN, self._new.eval_id)

    def _to_fail_screen(self) -> int:
        return SCREEN_TRIALS - SCREEN_PASSES + 1 - self.screen_fails

    def _count(self, kind: Kind, claim: Claim, *, passed: bool) -> None:
        state = claim.count(passed, not passed)
        if state is BLOCKED:
            self.stop = Stop(Outcome.REJECT, kind, self._new.eval_id)
        elif state is OPEN and claim.trials >= self._cap:
            self.stop = Stop(Outcome.INCONCLUSIVE, kind, self._new.eval_id)

    def _open(self) -> list[Claim]:
        return [claim for claim in (self.claim, self.held_out) if claim and claim.state is OPEN]
