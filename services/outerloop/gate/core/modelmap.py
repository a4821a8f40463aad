"""Model map: what another model breaks, before anyone repairs it (`outerloop gate model`).

A model upgrade affects every eval. So nothing stops at the first failure: every eval is taken to a verdict of
its own, by the claim that a confirmation makes of it:

    holds       proven above its bar, at `alpha` for each eval
    broken      on the list of e-BH at `fdr` over all evals, of their e-values against "as good as the base"
    undecided   neither, within `trials_an_eval`

The list is work for the loop. A map ships nothing and spends nothing, and so its trials count for nothing
else: the repaired bundle is one candidate of one confirmation, on trials of its own and from a ledger of its
own (`spending.MODEL_SHARE`). If they counted, one could draw maps until one is lucky.

Results of an eval count in the order of its trials' numbers, as in a confirmation: the map is a function of
the results alone. To resume, `started` and `finished` are told again of every trial on record, in any order.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from outerloop.gate.core.case import Evidence, Kind, PriorEval, Trial
from outerloop.gate.core.claim import CERTIFIED, OPEN, Claim, Thresholds, bets
from outerloop.gate.core.ebh import least_log_e, rejected
from outerloop.gate.core.in_turn import InTurn


class Reading(StrEnum):
    """How an eval does under the other model."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Place:
    """One eval on the map; `evidence.dn` is the logarithm of the e-value that puts it on the list."""

    reading: Reading
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTerms:
    """How sure a map is: see the module."""

    alpha: float = 0.05
    fdr: float = 0.10
    trials_an_eval: int = 500


class ModelMap:
    """Knows which trials run, what came of the others, and what to do next."""

    def __init__(self, priors: Sequence[PriorEval], terms: MapTerms) -> None:
        self._terms = terms
        # Blocked is what e-BH would reject were it alone; with others on the list less is enough.
        at = Thresholds(math.log(1 / terms.alpha), least_log_e(max(1, len(priors)), terms.fdr))
        ids = [prior.eval_id for prior in priors]
        if len(set(ids)) != len(ids):
            raise ValueError("no eval is mapped twice")
        rows = [(prior.bar, prior.passes, prior.trials) for prior in priors]
        self._claims = {eval_id: Claim(bet, at) for eval_id, bet in zip(ids, bets(rows), strict=True)}
        self._turns = {eval_id: InTurn(eval_id) for eval_id in ids}
        self._ready = deque(ids)  # evals that may have a trial to name
        self._is_ready = set(ids)
        self._open = len(ids)

    @property
    def done(self) -> bool:
        """Whether every eval has its verdict, or is at its cap."""
        return self._open == 0

    def next_trial(self) -> Trial | None:
        """A trial to start now; None when all is done, or only the running ones can tell how it goes on."""
        while self._ready:
            eval_id = self._ready[0]
            trial = self._turns[eval_id].next_trial(self._least(self._claims[eval_id]))
            if trial is not None:
                return trial
            self._is_ready.discard(self._ready.popleft())
        return None

    def started(self, trial: Trial) -> None:
        """The trial runs now, or is on record."""
        self._turns[trial.eval_id].started(trial)

    def finished(self, trial: Trial, *, passed: bool) -> None:
        """The trial ran, and passed or not."""
        claim = self._claims[trial.eval_id]
        for counts in self._turns[trial.eval_id].finished(trial, passed=passed):
            if self._least(claim):
                claim.count(counts, not counts)
                self._open -= not self._least(claim)
        self._make_ready(trial.eval_id)

    def lost(self, trial: Trial) -> None:
        """The trial did not happen (see `TrialNotRunError`): it will be named again, number and all."""
        self._turns[trial.eval_id].lost(trial)
        self._make_ready(trial.eval_id)

    def places(self) -> tuple[Place, ...]:
        """The map as it stands, in the order of the evals; valid whenever one looks."""
        broken = set(rejected([claim.dn for claim in self._claims.values()], self._terms.fdr))
        places: list[Place] = []
        for i, (eval_id, claim) in enumerate(self._claims.items()):
            reading = Reading.HOLDS if claim.state is CERTIFIED else Reading.UNDECIDED
            evidence = Evidence.of(Kind.PRIOR, eval_id, claim)
            places.append(Place(Reading.BROKEN if i in broken else reading, evidence))
        return tuple(places)

    def _least(self, claim: Claim) -> int:
        """How many further trials of an eval are needed whatever they give; 0: it is at its verdict."""
        left = self._terms.trials_an_eval - claim.trials
        return min(left, claim.least_to_decide()) if claim.state is OPEN else 0

    def _make_ready(self, eval_id: str) -> None:
        if eval_id not in self._is_ready:
            self._is_ready.add(eval_id)
            self._ready.append(eval_id)
