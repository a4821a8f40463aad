"""Wiring of ingest: Kafka records in, rows out, settled traces announced."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain

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
from outerloop.trace.otlp import Refusal, decode_logs, decode_traces, read_spans

log = logging.getLogger(__name__)

SETTINGS = IngestSettings
CONSUMES = (OTLP_SPANS, OTLP_LOGS)
TICK_SECONDS = 0.5
_AT_A_TIME = 1000


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
        values = [(d, d.value) for d in batch if d.value]
        traces = [
            (d, *read_spans(decode_traces(self._cleaner.traces(v))))
            for d, v in values
            if d.topic == OTLP_SPANS
        ]
        logs = [
            (d, *read_evaluations(decode_logs(self._cleaner.logs(v))))
            for d, v in values
            if d.topic == OTLP_LOGS
        ]
        found = [span for _, spans_of_record, _ in traces for span in spans_of_record]
        results = [result for _, results_of_record, _ in logs for result in results_of_record]
        stored_at = datetime.now(UTC)
        await spans.insert(self._db, found, stored_at)
        await evaluations.insert(self._db, results, stored_at)
        metrics.SPANS.inc(len(found))
        for delivery, _, refused in chain(traces, logs):
            _tell(delivery, refused)
        now = time.monotonic()
        for span in found:
            self._tracker.seen(span.trace_id, rooted=not span.parent_span_id, now=now)
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
