"""Fresh: the new eval's part of a confirmation: a cheap screen, then its claim and that of its variants.

Indices 0 to 3 are the screen, whose trials are thrown away; the claims count from index 4 on, also when the
screen was decided after three. Every trial of the new claim draws the eval itself or one of its held-out
variants, all alike; the variants' trials feed the held-out claim too. When that is the last one open it goes
on alone, over the indices that draw a variant.

What an index draws follows from the case's seed and nothing else. So a trial on record is of the same variant
on any terms, and an index that is passed over at one α is there to be made at another.

A change that closes no failure has no new eval: there is no screen and no claim, and it is done at once.
"""

import hashlib
from collections.abc import Iterator
from itertools import count, islice

from outerloop.gate.core.case import Evidence, Kind, NewEval, Outcome, Stop
from outerloop.gate.core.claim import BLOCKED, OPEN, Claim, Thresholds, blind_bet

SCREEN_TRIALS, SCREEN_PASSES = 4, 3
HELD_OUT_SLACK = 0.1  # how far below the bar of the new eval the mean of its variants may be


class Fresh:
    """The new eval in the course of its trials. `index` is that of the trial to count next."""

    def __init__(self, new: NewEval | None, seed: str, at: Thresholds, cap: int) -> None:
        self._eval_id = new.eval_id if new else ""
        self._variants = new.variants if new else 0
        self._seed = seed
        self._cap = cap
        self._claims = _claims(new, at) if new else []
        self.screen_passes = self.screen_fails = 0
        self.index = 0
        self.stop: Stop | None = None

    @property
    def screened(self) -> bool:
        """Whether the screen is passed, or there is none."""
        return self.screen_passes >= SCREEN_PASSES or not self._claims

    @property
    def done(self) -> bool:
        """Whether nothing is left to try."""
        return self.screened and not self._open()

    def needed(self) -> Iterator[int]:
        """The indices of the trials that are needed whatever they give; the first is `index`."""
        if not self.screened:
            ahead = min(SCREEN_PASSES - self.screen_passes, self._to_fail_screen())
            return iter(range(self.index, self.index + ahead))
        serving = (index for index in count(self.index) if self._serves(index))
        return islice(serving, self._open()[0].least_to_decide())

    def variant(self, index: int) -> int:
        """What the trial `index` is of: 0 the eval itself, else a variant."""
        if index < SCREEN_TRIALS or not self._variants:
            return 0
        digest = hashlib.blake2b(f"{self._seed}/{index}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % (self._variants + 1)

    def count(self, *, passed: bool) -> None:
        """Count the trial `index`."""
        if not self.screened:
            self._screen(passed=passed)
            return
        variant = self.variant(self.index)
        for kind, claim in self._claims:
            if claim.state is OPEN and self.stop is None and (variant or kind is Kind.NEW):
                self._count(kind, claim, passed=passed)
        self.index += 1
        while self.stop is None and not self.done and not self._serves(self.index):
            self.index += 1

    def evidence(self) -> list[Evidence]:
        """The claims so far; none before the screen is passed."""
        return [Evidence.of(kind, self._eval_id, claim) for kind, claim in self._claims if self.screened]

    def expected(self) -> float:
        """About how many more trials the open claims would take."""
        return max((claim.expected_to_certify() for claim in self._open()), default=0.0)

    def _screen(self, *, passed: bool) -> None:
        self.screen_passes += passed
        self.screen_fails += not passed
        self.index += 1
        if self.screened:
            self.index = SCREEN_TRIALS
        elif self._to_fail_screen() == 0:
            self.stop = Stop(Outcome.REJECT, Kind.SCREEN, self._eval_id)

    def _to_fail_screen(self) -> int:
        return SCREEN_TRIALS - SCREEN_PASSES + 1 - self.screen_fails

    def _count(self, kind: Kind, claim: Claim, *, passed: bool) -> None:
        state = claim.count(passed, not passed)
        if state is BLOCKED:
            self.stop = Stop(Outcome.REJECT, kind, self._eval_id)
        elif state is OPEN and claim.trials >= self._cap:
            self.stop = Stop(Outcome.INCONCLUSIVE, kind, self._eval_id)

    def _open(self) -> list[Claim]:
        return [claim for _, claim in self._claims if claim.state is OPEN]

    def _serves(self, index: int) -> bool:
        """Whether an open claim counts the trial `index`: the held-out one only a variant's."""
        return self._claims[0][1].state is OPEN or self.variant(index) > 0


def _claims(new: NewEval, at: Thresholds) -> list[tuple[Kind, Claim]]:
    claims = [(Kind.NEW, Claim(blind_bet(new.bar), at))]
    if new.variants:
        claims.append((Kind.HELD_OUT, Claim(blind_bet(new.bar - HELD_OUT_SLACK), at)))
    return claims
