"""Trials that do not happen: an outage is nobody's, and no candidate can void what it would fail."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from outerloop.gate.core.case import Case, PriorEval, Terms, Trial, Verdict
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.spending import alpha_of
from outerloop.gate.trials.bench import Bench, Subject
from outerloop.gate.trials.hear import Trials, VoidError
from outerloop.gate.trials.purse import Unlimited
from outerloop.runtime.errors import OutageError, TrialNotRunError
from outerloop.store.trials import TrialRecord

EVALS = [f"e{n}" for n in range(5)]


class Memory:
    """`Records`, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, int], TrialRecord] = {}

    async def of(self, series: str) -> list[TrialRecord]:
        return [record for (of, _, _), record in sorted(self.kept.items()) if of == series]

    async def add(self, record: TrialRecord) -> TrialRecord:
        return self.kept.setdefault((record.decision_id, record.eval_id, record.number), record)


class Fate:
    """A `Runner` whose trials end as `passes` says; None: it does not happen."""

    def __init__(self, records: Memory, passes: Callable[[Bench], bool | None]) -> None:
        self._records = records
        self._passes = passes

    async def run(self, bench: Bench, trial: Trial) -> TrialRecord:
        passed = self._passes(bench)
        if passed is None:
            raise TrialNotRunError("the model answered with 429")
        record = TrialRecord(
            trial_id=f"{bench.series}/{trial.eval_id}/{trial.index}",
            decision_id=bench.series,
            subject=bench.subject.value,
            agent="a",
            eval_id=trial.eval_id,
            number=trial.index,
            variant=trial.variant,
            passed=passed,
            reasons=(),
            answer="",
            model_calls=1,
            models=(),
            input_tokens=0,
            output_tokens=0,
            divergences=0,
            seconds=0.1,
            at=datetime.now(UTC),
        )
        return await self._records.add(record)


async def heard(memory: Memory, passes: Callable[[Bench], bool | None]) -> Verdict:
    bench = Bench(
        series="s",
        subject=Subject.CANDIDATE,
        agentfile=cast(Any, None),
        tree="t",
        base_commit="b",
        base_tree="bt",
        suite_commit="",
        change_id="c",
        entries=dict.fromkeys(EVALS, cast(Any, None)),
        contents={},
    )
    priors = [PriorEval(eval_id=e, bar=0.725, anchor=0.98, passes=98, trials=100) for e in EVALS]
    court = Confirmation(Case(new=None, priors=tuple(priors), seed="s"), Terms(alpha=alpha_of(1)))
    trials = Trials(Fate(memory, passes), memory, Unlimited(), at_once=3)
    records = await trials.on_record("s")
    await trials.hear(bench, court, lambda: isinstance(court.next_trial(), Verdict), records)
    verdict = court.next_trial()
    assert isinstance(verdict, Verdict)
    return verdict


async def test_a_candidate_that_voids_what_it_would_fail_is_found_out_also_after_a_restart() -> None:
    memory, chance = Memory(), random.Random(1)  # noqa: S311 - no secret

    def passes(bench: Bench) -> bool | None:
        return True if bench.subject is Subject.BASE or chance.random() < 0.6 else None

    with pytest.raises(VoidError, match="while trials of the base did"):
        await heard(memory, passes)
    with pytest.raises(VoidError):  # what was found out is on record
        await heard(memory, lambda _: True)


async def test_now_and_then_a_trial_may_not_happen() -> None:
    chance = random.Random(2)  # noqa: S311 - no secret
    verdict = await heard(Memory(), lambda _: None if chance.random() < 0.02 else True)
    assert verdict.outcome == "ship"


async def test_an_outage_is_nobodys_doing() -> None:
    memory = Memory()
    for _ in range(5):
        with pytest.raises(OutageError):
            await heard(memory, lambda _: None)
    assert (await heard(memory, lambda _: True)).outcome == "ship"
