"""Rounds: the prior evals' part of a confirmation.

The evals stand in a line, the likeliest to break first, and each makes one trial at its turn: a bad change
shows itself for about five trials an eval, not twenty. One that passes goes to the end of the line; one that
fails is drilled to its own verdict at once. When all are certified, the drift claims that are still open get
the trials that their next round lacks. Every step costs the same, however long the suite.
"""

from collections.abc import Container, Sequence

from outerloop.gate.core.ahead import Ahead, Key
from outerloop.gate.core.case import Evidence, Kind, Outcome, PriorEval, Stop, Terms
from outerloop.gate.core.claim import BLOCKED, CERTIFIED, OPEN, Claim, bets, thresholds
from outerloop.gate.core.drift import Pool, drift_thresholds, strata
from outerloop.gate.core.order import by_hazard

_LINE_KEPT = 4096  # of what is behind the head of the line, before it is forgotten


class Rounds:
    """The prior evals in the course of their trials. `turn` is whose trial counts next; None: all done."""

    def __init__(self, priors: Sequence[PriorEval], terms: Terms, claims: int) -> None:
        self._priors = priors
        self._cap = terms.trials_a_claim
        at = thresholds(terms.alpha, claims, terms.beta)
        self._claims = [Claim(bet, at) for bet in bets([(p.bar, p.passes, p.trials) for p in priors])]
        found = strata([prior.anchor for prior in priors])
        drift_at = drift_thresholds(terms.alpha, max(1, len(found)), terms.beta)
        self._pools = [Pool(stratum, drift_at) for stratum in found]
        self._pool_of: list[Pool | None] = [None] * len(priors)
        for pool in self._pools:
            for member in pool.stratum.members:
                self._pool_of[member] = pool
        self.made = [0] * len(priors)  # trials counted, by eval
        self._line = by_hazard(priors)
        self._head = 0
        self.ahead = Ahead(self._claims, self.made, self._line)
        self._drilled = False
        self.stop: Stop | None = None
        self.turn: int | None = None
        self._next()

    def count(self, *, passed: bool) -> None:
        """Count the trial of the eval whose turn it is, and give the turn to the next."""
        i = self.turn
        if i is None:
            raise ValueError("no eval has a turn any more")
        number = self.made[i]
        self.made[i] = number + 1
        self.ahead.counted(i)
        claim, pool = self._claims[i], self._pool_of[i]
        owed = claim.state is OPEN
        if owed and claim.count(passed, not passed) is BLOCKED:
            self.stop = Stop(Outcome.REJECT, Kind.PRIOR, self._priors[i].eval_id)
        elif owed and claim.state is OPEN and number + 1 >= self._cap:
            self.stop = Stop(Outcome.INCONCLUSIVE, Kind.PRIOR, self._priors[i].eval_id)
        if pool is not None and pool.claim.state is OPEN and self.stop is None:
            self._count_drift(pool, number, passed=passed)
        if self.stop is None:
            self._pass_on(i, passed=passed)

    def next_ahead(self, named: Container[Key]) -> Key | None:
        """(eval, index) of a trial that may be made before its turn; of the eval that is drilled first."""
        drilled = self.ahead.of(self.turn, named) if self._drilled and self.turn is not None else None
        return drilled or self.ahead.next(named)

    def evidence(self) -> list[Evidence]:
        """The claims so far: each eval's, then drift's."""
        own = [Evidence.of(Kind.PRIOR, p.eval_id, c) for p, c in zip(self._priors, self._claims, strict=True)]
        return own + [Evidence.of(Kind.DRIFT, pool.stratum.name, pool.claim) for pool in self._pools]

    def expected(self) -> float:
        """About how many more trials the open claims would take."""
        own = sum(claim.expected_to_certify() for claim in self._claims if claim.state is OPEN)
        drift = sum(p.claim.expected_to_certify() for p in self._pools if p.claim.state is OPEN)
        return max(own, drift)  # the same trials serve both

    def _count_drift(self, pool: Pool, number: int, *, passed: bool) -> None:
        state = pool.count(number, passed=passed)
        if state is BLOCKED:
            self.stop = Stop(Outcome.REJECT, Kind.DRIFT, pool.stratum.name)
        elif state is OPEN and pool.rounds >= self._cap:
            self.stop = Stop(Outcome.INCONCLUSIVE, Kind.DRIFT, pool.stratum.name)

    def _pass_on(self, i: int, *, passed: bool) -> None:
        if self._claims[i].state is CERTIFIED:
            pool = self._pool_of[i]
            if pool is not None:
                pool.park(i, self.made[i])
        elif self._drilled or not passed:
            self._drilled = True
            return
        else:
            self._line.append(i)
        self._next()

    def _next(self) -> None:
        self._drilled = False
        if self._head == len(self._line):
            for pool in self._pools:
                if pool.claim.state is OPEN:
                    for i in pool.lacking():
                        self._line.append(i)
                        self.ahead.owes(i)
        if self._head == len(self._line):
            self.turn = None
            return
        self.turn = self._line[self._head]
        self._head += 1
        if self._head > _LINE_KEPT:
            del self._line[: self._head]
            self._head = 0
