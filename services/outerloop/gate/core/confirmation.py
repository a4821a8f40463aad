"""Confirmation: one change before the gate, from its first trial to the verdict.

The new eval first (`fresh`), then the prior ones with drift (`rounds`). It ships only if every claim is
certified at α_k: an intersection-union test, which needs no correction for how many they are (Berger 1982).
The first claim that is blocked rejects it; one at its cap, or the decision at its own, is inconclusive.

Trials count in one order, that in which they would be made one at a time. Several may run at once: those
after the next one are named ahead, and what they give waits until it is their turn. So the verdict is a
function of the results alone, not of which of them came first; what ran beyond it does not count. (If results
counted as they came, trials that fail slowly would be seen less often than trials that pass quickly.)
To resume, `started` and `finished` are told again of every trial on record, in any order: on the same terms
or on others, and also of a case without an eval that was dropped (`Case.without`), whose own trials are then
left out. Where it stands is a function of the case, the terms and the results.
"""

import math

from outerloop.gate.core.ahead import Key
from outerloop.gate.core.case import Case, Evidence, Kind, Outcome, Stop, Terms, Trial, Verdict
from outerloop.gate.core.claim import thresholds
from outerloop.gate.core.fresh import Fresh
from outerloop.gate.core.rounds import Rounds

_NEW = -1  # the new eval's number; a prior one's is its position


class Confirmation:
    """Knows which trials run, what came of the others, and what to do next."""

    def __init__(self, case: Case, terms: Terms) -> None:
        self._case = case
        self._terms = terms
        claims = max(1, case.claims)
        at = thresholds(terms.alpha, claims, terms.beta)
        self._fresh = Fresh(case.new, case.seed, at, terms.trials_a_claim)
        self._rounds = Rounds(case.priors, terms, claims)
        self._number = {prior.eval_id: i for i, prior in enumerate(case.priors)}
        if case.new:
            self._number[case.new.eval_id] = _NEW
        self._ids = list(self._number)  # [_NEW] is the last
        self._named: set[Key] = set()  # running or finished
        self._waiting: dict[Key, bool] = {}  # finished, and not yet counted
        self._running: set[Key] = set()
        self._turn: Key | None = None  # the trial that counts next; None: there is a verdict
        self._trials = 0
        self._verdict: Verdict | None = None
        self._go_on()

    @property
    def running(self) -> frozenset[tuple[str, int]]:
        """(eval id, index) of the trials that have been started and not yet reported."""
        return frozenset((self._ids[number], index) for number, index in self._running)

    @property
    def screened(self) -> bool:
        """Whether the screen is passed, or there is none: the next trial counts: reserve α first."""
        return self._fresh.screened

    def next_trial(self) -> Trial | Verdict | None:
        """A trial to start now, or the verdict, or None: only what is running can tell how it goes on.

        The trial whose turn it is comes first, then such as are needed whatever the running ones of the same
        eval give. Never names a trial twice, unless it was `lost`. How many run at once the caller chooses.
        """
        if self._turn is None:
            return self._verdict
        if self._turn not in self._named:
            return self._trial(self._turn)
        if self._turn[0] != _NEW:
            found = self._rounds.next_ahead(self._named)
        else:
            needed = ((_NEW, index) for index in self._fresh.needed())
            found = next((key for key in needed if key not in self._named), None)
        return None if found is None else self._trial(found)

    def started(self, trial: Trial) -> None:
        """The trial runs now, or is on record.

        Raises:
            ValueError: if it was started before, or is of another variant than its index draws.
        """
        key = (self._number[trial.eval_id], trial.index)
        if key in self._named:
            raise ValueError(f"{trial} was started before")
        if trial != self._trial(key):
            raise ValueError(f"{trial} is of another case: this one has {self._trial(key)}")
        self._named.add(key)
        self._running.add(key)
        if key[0] != _NEW:
            self._rounds.ahead.started(key[0])

    def finished(self, trial: Trial, *, passed: bool) -> None:
        """The trial ran, and passed or not."""
        key = (self._number[trial.eval_id], trial.index)
        self._running.remove(key)
        self._waiting[key] = passed
        if key != self._turn and key[0] != _NEW:
            self._rounds.ahead.reported(key[0], self._waiting)
        while self._turn is not None and self._turn in self._waiting:
            self._count(self._turn, passed=self._waiting.pop(self._turn))

    def lost(self, trial: Trial) -> None:
        """The trial did not happen (see `TrialNotRunError`): it will be named again, number and all."""
        key = (self._number[trial.eval_id], trial.index)
        self._running.remove(key)
        self._named.remove(key)
        if key[0] != _NEW:
            self._rounds.ahead.reported(key[0], self._waiting)

    def evidence(self) -> tuple[Evidence, ...]:
        """Every claim as it stands."""
        return (*self._fresh.evidence(), *self._rounds.evidence())

    def _trial(self, key: Key) -> Trial:
        number, index = key
        return Trial(self._ids[number], index, self._fresh.variant(index) if number == _NEW else 0)

    def _count(self, turn: Key, *, passed: bool) -> None:
        self._trials += 1
        part = self._fresh if turn[0] == _NEW else self._rounds
        part.count(passed=passed)
        if part.stop is not None:
            self._rule(part.stop.outcome, part.stop)
        else:
            self._go_on()
        if self._verdict is None and self._trials >= self._terms.cap(self._case.claims):
            self._rule(Outcome.INCONCLUSIVE, Stop(Outcome.INCONCLUSIVE, None, ""))

    def _go_on(self) -> None:
        if not self._fresh.done:
            self._turn = (_NEW, self._fresh.index)
        elif self._rounds.turn is not None:
            self._turn = (self._rounds.turn, self._rounds.made[self._rounds.turn])
        else:
            self._rule(Outcome.SHIP, None)

    def _rule(self, outcome: Outcome, stop: Stop | None) -> None:
        self._turn = None
        passes = self._fresh.screen_passes
        self._verdict = Verdict(
            outcome=outcome,
            stop=stop,
            alpha=self._terms.alpha,
            trials=self._trials,
            expected=self._expected() if outcome is Outcome.INCONCLUSIVE else None,
            screen=(passes, passes + self._fresh.screen_fails),
            claims=() if stop and stop.kind is Kind.SCREEN else self.evidence(),
        )

    def _expected(self) -> int | None:
        expected = self._fresh.expected() + self._rounds.expected()
        return math.ceil(expected) if math.isfinite(expected) else None
