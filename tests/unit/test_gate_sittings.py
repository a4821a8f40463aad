"""Sittings: the trials of all evals are spread, not only those of the new one."""

from datetime import UTC, datetime, timedelta

import pytest

from outerloop.gate.core.case import Trial
from outerloop.gate.trials.sittings import Sittings
from outerloop.gate.trials.waiting import WaitError
from outerloop.store.trials import TrialRecord


def record(eval_id: str, number: int, hours_ago: float) -> TrialRecord:
    return TrialRecord(
        trial_id=f"{eval_id}-{number}",
        decision_id="d",
        subject="candidate",
        agent="a",
        eval_id=eval_id,
        number=number,
        variant=0,
        passed=True,
        reasons=(),
        answer="",
        model_calls=1,
        models=(),
        input_tokens=0,
        output_tokens=0,
        divergences=0,
        seconds=1.0,
        at=datetime.now(UTC) - timedelta(hours=hours_ago),
    )


def test_the_earlier_evals_have_sittings_of_their_own():
    sittings = Sittings(2, timedelta(hours=6))
    heard = [record("a", 0, 1), record("new", 0, 7), record("b", 0, 0.5)]
    sittings.check(Trial("new", 12), heard)
    sittings.check(Trial("a", 11), heard)
    for eval_id in ("a", "b", "c"):
        with pytest.raises(WaitError, match="its sitting 2 of 2") as waits:
            sittings.check(Trial(eval_id, 12), heard)
        hours = (waits.value.until - datetime.now(UTC)) / timedelta(hours=1)
        assert hours == pytest.approx(5, abs=0.01)
