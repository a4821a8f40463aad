"""Runs the trials that a deliberation asks for, some at once, each in a sandbox of its own."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from outerloop.evals.suite import Entry
from outerloop.gate.core.decide import Deliberation, Ruling, Trial
from outerloop.gate.settings import GateSettings
from outerloop.runtime import metrics
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import OutageError, TrialNotRunError
from outerloop.store import decisions
from outerloop.store.decisions import TrialRecord
from outerloop.trial.backend import environment_of, limits_of
from outerloop.trial.run import TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox

log = logging.getLogger(__name__)

# So many trials in a row that did not happen are an outage of what they need.
LOST_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials of a decision share; `tools` is a checkout that the change has not touched."""

    decision_id: str
    version: str
    agentfile: AgentFile
    candidate: Path
    tools: Path
    entries: Mapping[str, Entry]


class Trials:
    """Makes trials happen and keeps their records. A trial that is on record is never run again."""

    def __init__(self, settings: GateSettings, sandbox: Sandbox, db: ClickHouse) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._db = db
        self._lost = 0

    async def deliberate(self, bench: Bench, court: Deliberation) -> tuple[Ruling, list[TrialRecord]]:
        """Run trials until there is a ruling; also gives every trial that was run.

        Raises:
            OutageError: when trials cannot be run; what was run is on record and counts when it goes on.
        """
        records = await decisions.trials_of(self._db, bench.decision_id)
        for record in records:
            trial = Trial(record.eval_id, record.number)
            court.started(trial)
            court.finished(trial, passed=record.passed)
        running: dict[asyncio.Task[TrialRecord], Trial] = {}
        try:
            while not isinstance(step := court.next_trial(), Ruling):
                if step is not None and len(running) < self._settings.gate_trials_at_once:
                    court.started(step)
                    running[asyncio.ensure_future(self._run(bench, step))] = step
                    continue
                await self._collect(running, court, records)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return step, records

    async def _collect(
        self,
        running: dict[asyncio.Task[TrialRecord], Trial],
        court: Deliberation,
        records: list[TrialRecord],
    ) -> None:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            trial = running.pop(task)
            try:
                record = task.result()
            except TrialNotRunError as error:
                court.lost(trial)
                self._count_lost(error)
                continue
            self._lost = 0
            await decisions.insert_trials(self._db, [record])
            metrics.TRIALS.labels("passed" if record.passed else "failed").inc()
            court.finished(trial, passed=record.passed)
            records.append(record)

    def _count_lost(self, error: TrialNotRunError) -> None:
        metrics.TRIALS.labels("not run").inc()
        log.warning("a trial did not happen: %s", error)
        self._lost += 1
        if self._lost >= LOST_IN_A_ROW:
            self._lost = 0
            raise OutageError(f"{LOST_IN_A_ROW} trials in a row did not happen; the last: {error}") from error

    async def _run(self, bench: Bench, trial: Trial) -> TrialRecord:
        entry = bench.entries[trial.eval_id]
        key = self._settings.anthropic_api_key
        spec = TrialSpec(
            checkout=bench.candidate,
            version=bench.version,
            agent=bench.agentfile,
            eval=entry.eval,
            cassette=entry.cassette,
            tools_checkout=bench.tools,
            environment=environment_of(self._settings),
            model_url=self._settings.anthropic_base_url,
            model_key=key.get_secret_value() if key else "",
            model_calls=self._settings.gate_model_calls,
            limits=limits_of(self._settings),
        )
        ran = await run_trial(spec, self._sandbox)
        named = {call.model for call in ran.trace.model_calls if call.model} if ran.trace else set[str]()
        return TrialRecord(
            trial_id=stable_id("trial", bench.decision_id, trial.eval_id, trial.index),
            decision_id=bench.decision_id,
            agent=bench.agentfile.agent,
            eval_id=trial.eval_id,
            number=trial.index,
            passed=ran.passed,
            reasons=ran.reasons,
            answer=ran.answer,
            model_calls=ran.model_calls,
            models=tuple(sorted(named)),
            input_tokens=ran.input_tokens,
            output_tokens=ran.output_tokens,
            divergences=len(ran.divergences),
            seconds=ran.seconds,
            at=datetime.now(UTC),
        )
