"""Wiring of ingest: Kafka records in, rows out, settled traces announced."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.quiet import Patience, Tracker
from outerloop.ingest.receiver import receivers
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import OutageError
from outerloop.runtime.service import Background
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS
from outerloop.store import evaluations, settlements, spans
from outerloop.trace.evaluation import read_evaluations
from outerloop.trace.otlp import Refusal, decode_logs
from outerloop.trace.wire import Checked, check_traces, delimited

log = logging.getLogger(__name__)

SETTINGS = IngestSettings
CONSUMES = (OTLP_SPANS, OTLP_LOGS)
TICK_SECONDS = 0.5
_AT_A_TIME = 1000
# Of one insert: enough for its fixed cost to vanish, little enough for some to stand in memory at once.
_BYTES_AT_A_TIME = 8 * 1024 * 1024
# ClickHouse parses an insert on one core: with several, it works while the next records are looked through.
_INSERTS_AT_ONCE = 4


class Ingest:
    """The service; see the package."""

    def __init__(self, settings: IngestSettings, bus: Bus, db: ClickHouse) -> None:
        self._settings = settings
        self._cleaner = Cleaner(settings)
        self._bus = bus
        self._db = db
        patience = Patience(settings.settle_seconds, settings.settle_rootless_seconds)
        self._tracker = Tracker(patience)
        bus.subscribe(CONSUMES, self.store, at_most=settings.ingest_batch)

    async def store(self, batch: Sequence[Delivery]) -> None:
        """Store the spans and evaluation results of these records; an invalid one costs only itself."""
        await self._store_spans([d for d in batch if d.topic == OTLP_SPANS and d.value])
        await self._store_logs([d for d in batch if d.topic == OTLP_LOGS and d.value])

    async def _store_spans(self, batch: Sequence[Delivery]) -> None:
        part: list[tuple[Delivery, Checked]] = []
        size = 0
        try:
            async with asyncio.TaskGroup() as inserts:
                slots = asyncio.Semaphore(_INSERTS_AT_ONCE)
                for delivery in batch:
                    checked = check_traces(self._cleaner.traces(delivery.value or b""))
                    part.append((delivery, checked))
                    size += len(checked.payload)
                    if size >= _BYTES_AT_A_TIME:
                        await slots.acquire()
                        inserts.create_task(self._insert(part)).add_done_callback(lambda _: slots.release())
                        part, size = [], 0
                await self._insert(part)
        except ExceptionGroup as several:
            raise several.exceptions[0] from several  # as if it were the only one: all are done again

    async def _insert(self, part: Sequence[tuple[Delivery, Checked]]) -> None:
        exports = [checked.payload for _, checked in part if checked.payload]
        if exports:
            await spans.store(self._db, delimited(exports), _token(part))
        now = time.monotonic()
        for delivery, checked in part:
            metrics.SPANS.inc(len(checked.seen))
            _tell(delivery, checked.refused)
            for trace_id, rooted in checked.seen:
                self._tracker.seen(trace_id.hex(), rooted=rooted, now=now)

    async def _store_logs(self, batch: Sequence[Delivery]) -> None:
        read = [(d, *read_evaluations(decode_logs(self._cleaner.logs(d.value or b"")))) for d in batch]
        results = [result for _, results_of_record, _ in read for result in results_of_record]
        await evaluations.insert(self._db, results, datetime.now(UTC))
        for delivery, _, refused in read:
            _tell(delivery, refused)
        now = time.monotonic()
        for result in results:
            # A result may come long after its trace was settled, and alone: it need not wait for a root.
            self._tracker.seen(result.trace_id, rooted=True, now=now)

    async def settle(self) -> None:
        """Announce complete traces for as long as the service lives, starting with those left behind."""
        await self._recover()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            due = self._tracker.due(time.monotonic())
            for start in range(0, len(due), _AT_A_TIME):
                await self._announce(due[start : start + _AT_A_TIME])

    async def receive(self) -> None:
        """Take OTLP over gRPC and HTTP for as long as the service lives."""
        async with receivers(self._bus, self._settings, self._cleaner):
            await asyncio.Event().wait()

    async def _announce(self, trace_ids: list[str]) -> None:
        try:
            complete = await settlements.summaries(self._db, trace_ids)
            for summary in complete:
                await self._bus.publish(_settled(summary), because=(summary.trace_id, summary.revision))
            await settlements.insert(self._db, complete)
        except OutageError as outage:
            log.warning("%d traces wait to be settled: %s", len(trace_ids), outage)
            for trace_id in trace_ids:
                self._tracker.seen(trace_id, rooted=True, now=time.monotonic())

    async def _recover(self) -> None:
        while True:
            try:
                left = await settlements.unsettled(self._db, settlements.LOOK_BACK_DAYS)
            except OutageError as outage:
                log.warning("%s", outage)
                await asyncio.sleep(TICK_SECONDS)
            else:
                break
        for trace_id, rooted in left.items():
            self._tracker.seen(trace_id, rooted=rooted, now=time.monotonic())
        if left:
            log.info("%d traces were stored and not settled", len(left))


def wire(settings: IngestSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    ingest = Ingest(settings, bus, db)
    return (ingest.settle, ingest.receive)


def _tell(delivery: Delivery, refused: Sequence[Refusal]) -> None:
    for refusal in refused:
        metrics.REFUSED.labels(refusal.reason).inc()
    if refused:
        log.warning("%d left out of %s, the first: %s", len(refused), delivery, refused[0].what)


def _token(part: Sequence[tuple[Delivery, Checked]]) -> str:
    """Names what an insert holds: the same records with the same spans. Offsets alone may begin anew."""
    name = hashlib.blake2b(digest_size=16)
    for delivery, checked in part:
        name.update(str(delivery).encode() + checked.span_ids)
    return name.hexdigest()


def _settled(summary: settlements.Summary) -> TraceSettled:
    message = TraceSettled(
        trace_id=summary.trace_id,
        agent=summary.agent,
        agent_version=summary.agent_version,
        spans=summary.spans,
        revision=summary.revision,
    )
    message.started_at.FromDatetime(summary.started_at)
    return message
