"""Sittings: a confirmation is spread over days, because trials of one hour are not independent.

A provider has good and bad days. If a broken eval passes on the good ones, trials of a single sitting certify
it in half of the cases, of three sittings in an eighth (gate.md, "Correlated trials"). So an eval's trials
fall into as many sittings as the settings ask for, in the order of their numbers: a claim at the standard
margin takes about TRIALS of them, and each sitting runs its share. The earlier evals have sittings of their
own: they are tried when the new one is through, which has taken all of its own.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from outerloop.gate.core.case import Trial
from outerloop.gate.trials.waiting import WaitError
from outerloop.store.trials import TrialRecord

TRIALS = 24


class Sittings:
    """The sittings of one candidate, `apart`: `number` for its new eval, as many for the earlier ones."""

    def __init__(self, number: int, apart: timedelta) -> None:
        self._number = number
        self._apart = apart
        self._share = math.ceil(TRIALS / number)

    def check(self, trial: Trial, heard: Sequence[TrialRecord]) -> None:
        """Return if the trial's sitting has come; `heard` are the trials that were run before.

        Raises:
            WaitError: if not; nothing is lost.
        """
        sitting = min(trial.index // self._share, self._number - 1)
        if sitting == 0 or not heard:
            return
        new = min(heard, key=lambda record: record.at).eval_id  # it is tried before all others
        alike = [record.at for record in heard if (record.eval_id == new) == (trial.eval_id == new)]
        if not alike:
            return
        begins = min(alike) + sitting * self._apart
        if datetime.now(UTC) < begins:
            raise WaitError(
                f"it goes on in its sitting {sitting + 1} of {self._number} (OUTERLOOP_GATE_SITTINGS)", begins
            )


ONE = Sittings(1, timedelta())
