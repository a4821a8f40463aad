"""Ahead: which trials may be made before their turn, when several run at once. It steers cost, no verdict.

An eval's claim depends on that eval's trials alone. So a scout, a copy of the claim that has also counted
what came in before its turn, says how many more the eval needs whatever they give; only such trials are
named, and none of them is in vain unless the change is rejected. Every step costs the same, however long the
suite.
"""

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence

from outerloop.gate.core.claim import OPEN, Claim

Key = tuple[int, int]  # (eval, index)


class Ahead:
    """Looks over `claims`, of which `made` trials have counted; both are the caller's, and change."""

    def __init__(self, claims: Sequence[Claim], made: Sequence[int], line: Iterable[int]) -> None:
        self._claims = claims
        self._made = made
        self._scouts: dict[int, Claim] = {}
        self._owes: set[int] = set()  # certified evals that owe a round of drift one trial
        self._ready = deque(line)  # evals that may have a trial to name, in turn
        self._is_ready = [True] * len(claims)

    def owes(self, i: int) -> None:
        """A round of drift lacks a trial of eval i."""
        self._owes.add(i)
        self._make_ready(i)

    def reported(self, i: int, waiting: Mapping[Key, bool]) -> None:
        """A trial of eval i has ended or was lost; `waiting` has the results whose turn has not come."""
        claim = self._claims[i]
        if claim.state is OPEN:
            scout = self._scouts.get(i)
            if scout is None or scout.trials < claim.trials:
                scout = claim.copy()
            while scout.state is OPEN and (result := waiting.get((i, scout.trials))) is not None:
                scout.count(result, not result)
            self._scouts[i] = scout
        self._make_ready(i)

    def counted(self, i: int) -> None:
        """A trial of eval i has counted."""
        self._owes.discard(i)
        self._make_ready(i)

    def started(self, i: int) -> None:
        """A trial of eval i was started: the others are next."""
        if self._ready and self._ready[0] == i:
            self._ready.rotate(-1)

    def next(self, named: Container[Key]) -> Key | None:
        """A trial that is not yet `named`; None if all that may be made ahead are."""
        while self._ready:
            i = self._ready[0]
            key = self.of(i, named)
            if key is not None:
                return key
            self._ready.popleft()
            self._is_ready[i] = False
        return None

    def of(self, i: int, named: Container[Key]) -> Key | None:
        """The same of one eval."""
        claim, first = self._claims[i], self._made[i]
        if claim.state is OPEN:
            scout = self._scouts.get(i, claim)
            if scout.trials > first:
                claim, first = scout, scout.trials
            limit = first + (claim.least_to_decide() if claim.state is OPEN else 0)
        else:
            limit = first + (i in self._owes)
        return next(((i, index) for index in range(first, limit) if (i, index) not in named), None)

    def _make_ready(self, i: int) -> None:
        if not self._is_ready[i]:
            self._is_ready[i] = True
            self._ready.append(i)
