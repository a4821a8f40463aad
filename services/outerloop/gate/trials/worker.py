"""Worker: runs the trials that any judge asks for, in a consumer group of its own.

A trial counts once: its row is written before its event, the first row stays, and a request whose row is
there is answered from it. So a request may come again, and two workers may have it at once (Kafka moves
partitions): what that costs is the second run.

A request that nobody needs any more is not run: its change has its verdict, or it is older than STALE. Every
request is answered all the same, so that a judge who does wait asks again, now.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.trial_pb2 import TrialFinished, TrialRequested
from outerloop.gate.core.case import Trial
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.dispatch import PROMPT_MS
from outerloop.gate.trials.runner import trial_id
from outerloop.gate.trials.workbench import Workbench
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.errors import OutageError, PoisonError, TrialNotRunError, UserError
from outerloop.runtime.git import GitError
from outerloop.runtime.topics import topic_of
from outerloop.store import decisions, trials
from outerloop.store.trials import TrialRecord
from outerloop.trial.sandbox import Sandbox

log = logging.getLogger(__name__)

REQUESTED = topic_of(TrialRequested).name
# Workers come and go with the load. In the judges' group they would move the judges' partitions each time.
GROUP = "gate-trials"
STALE = timedelta(days=1)
# Requests in a batch for each trial that may run at a time: the more, the seldomer a place is empty because
# the batch is not yet over. What is in this worker's partitions comes to no other anyway.
BATCH = 4
# So many in a row that did not happen are an outage: wait before the next, 1 s, then twice as long each time.
LOST_IN_A_ROW = 3
LONGEST_WAIT = 30.0
# Between two looks for the verdict on a change: some trials too many, instead of a query for each.
LOOK_SECONDS = 2.0


class _Records:
    """`Records` of one worker: what has run is held until ClickHouse has it, so no outage costs a trial."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db
        self._held: dict[str, TrialRecord] = {}

    async def of(self, series: str) -> list[TrialRecord]:
        """See `Records`."""
        return await trials.of_series(self._db, series)

    async def add(self, record: TrialRecord) -> TrialRecord:
        """See `Records`."""
        self._held[record.trial_id] = record
        stays = await trials.first(self._db, record)
        del self._held[record.trial_id]
        return stays

    async def known(self, requests: Sequence[TrialRequested]) -> dict[str, TrialRecord]:
        """By trial, the records that count, of those for which there is one; stored if they were not."""
        ids = {request.trial_id for request in requests}
        held = [record for trial, record in self._held.items() if trial in ids]
        kept = [await trials.keep(self._db, record) for record in held]
        for record in held:
            self._held.pop(record.trial_id, None)
        rest = ids - {record.trial_id for record in kept}
        series = {request.series for request in requests}
        found = await trials.found(self._db, series, rest) if rest else []
        return {record.trial_id: record for record in (*kept, *found)}


class Worker:
    """Takes requests from Kafka. `tend` must run beside it."""

    def __init__(self, settings: GateSettings, bus: Bus, db: ClickHouse, sandbox: Sandbox) -> None:
        self._bus = bus
        self._db = db
        self._records = _Records(db)
        self._workbench = Workbench(settings, db, sandbox, self._records)
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._lost = 0
        self._undecided: dict[str, float] = {}
        self._room = asyncio.Semaphore(settings.gate_trials_at_once)
        most = BATCH * settings.gate_trials_at_once
        bus.subscribe((REQUESTED,), self.handle, at_most=most, group=GROUP, wait_ms=PROMPT_MS)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Run the trials of a batch, some side by side, and answer each as soon as it has ended."""
        # By trial: of two attempts at one, the later is the one that is waited for.
        asked = {request.trial_id: (request, d) for d in batch for request in [_request(d)]}
        known = await self._records.known([request for request, _ in asked.values()])
        if not self._stopping:
            self._running = {
                asyncio.ensure_future(self._answer(request, cause, known.get(trial)))
                for trial, (request, cause) in asked.items()
            }
        ended = await asyncio.gather(*self._running, return_exceptions=True)
        if self._stopping:
            await asyncio.Event().wait()  # what was cancelled is given back: the bus stops us, uncommitted
        for error in ended:
            if error is not None:
                raise error
        await self._workbench.trim()

    async def tend(self) -> None:
        """Until the service stops; then end the trials that run, for another worker to take, and clean up."""
        try:
            await asyncio.Event().wait()
        finally:
            self._stopping = True
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            await self._workbench.close()

    async def _answer(self, request: TrialRequested, cause: Delivery, known: TrialRecord | None) -> None:
        answer = TrialFinished(
            trial_id=request.trial_id,
            series=request.series,
            agent=request.agent,
            eval_id=request.eval_id,
            number=request.number,
            attempt=request.attempt,
        )
        try:
            async with self._room:
                record = known or await self._record(request)
            answer.passed = record.passed
        except TrialNotRunError as error:
            log.info("trial %s of %s was not run: %s", request.trial_id, request.agent, error)
            answer.not_run = str(error) or "it did not happen"
        answer.finished_at.FromDatetime(datetime.now(UTC))
        outcome = "not run" if answer.not_run else "ran"
        await self._bus.publish(answer, because=(request.trial_id, request.attempt, outcome), cause=cause)

    async def _record(self, request: TrialRequested) -> TrialRecord:
        """The record of the trial, which is run.

        Raises:
            TrialNotRunError: when it did not happen, or nobody needs it.
        """
        if needless := await self._needless(request):
            raise TrialNotRunError(needless)
        if self._lost >= LOST_IN_A_ROW:
            await asyncio.sleep(min(2.0 ** min(self._lost - LOST_IN_A_ROW, 9), LONGEST_WAIT))
        try:
            record = await self._run(request)
        except TrialNotRunError:
            self._lost += 1
            raise
        self._lost = 0
        return record

    async def _run(self, request: TrialRequested) -> TrialRecord:
        bench, here = await self._workbench.bench(request)
        try:
            return await here.run(bench, Trial(request.eval_id, request.number, request.variant))
        except OutageError:  # of ClickHouse: the record is held until it is back
            raise
        except (GitError, UserError) as error:  # files that cannot be checked out
            raise TrialNotRunError(str(error)) from error

    async def _needless(self, request: TrialRequested) -> str:
        """Why nobody waits for the trial any more, "" when somebody may."""
        change, now = request.change_id, time.monotonic()
        if change and now - self._undecided.get(change, -LOOK_SECONDS) >= LOOK_SECONDS:
            if await decisions.decided(self._db, change):
                return "its change has its verdict"
            self._undecided = {change: now}
        age = datetime.now(UTC) - request.requested_at.ToDatetime(UTC)
        return f"it was asked for {age.days} days ago" if age > STALE else ""


def _request(delivery: Delivery) -> TrialRequested:
    request = unpack(delivery, TrialRequested)
    if request.trial_id != trial_id(request.series, Trial(request.eval_id, request.number, request.variant)):
        raise PoisonError(f"{delivery} asks for trial {request.trial_id}, which is of something else")
    return request
