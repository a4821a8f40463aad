"""Storing: records from Kafka looked through, and inserted; what is invalid is set aside with its reason."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.quiet import Tracker
from outerloop.ingest.core.scanner import Scanner
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.delivery import PartlyPoisonError
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import PoisonError
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS
from outerloop.store import evaluations, spans
from outerloop.trace.evaluation import Evaluation, read_evaluations
from outerloop.trace.otlp import InvalidError, Refusal, decode_logs, decode_traces, is_json
from outerloop.trace.span_evaluations import HINTS, evaluations_in
from outerloop.trace.wire import Checked, check_traces, delimited, written_anew

log = logging.getLogger(__name__)

T = TypeVar("T")
# Of one insert. Planning takes ClickHouse 35 ms each time, and each makes a part to merge: in inserts of
# 8 MiB a span costs twice what it does in these of 24. Some of them stand in memory at once.
_BYTES_AT_A_TIME = 24 * 1024 * 1024
# ClickHouse parses an insert on one core: with several, it works while the next records are looked through.
_INSERTS_AT_ONCE = 3
# From here on a record is looked through on a thread: until then Kafka must hear from us, and others wait.
_LARGE_BYTES = 1024 * 1024
_REASONS = 5  # that a letter names


@dataclass(frozen=True, slots=True)
class _Looked:
    """A record of spans that was looked through, and the evaluation results that came with them."""

    delivery: Delivery
    checked: Checked
    results: list[Evaluation]


class Storing:
    """Stores records, and tells the tracker of the traces that they belong to."""

    def __init__(
        self, settings: IngestSettings, bus: Bus, db: ClickHouse, cleaner: Cleaner, tracker: Tracker
    ) -> None:
        self._most = settings.ingest_record_bytes
        self._bus = bus
        self._db = db
        self._cleaner = cleaner
        self._tracker = tracker
        self._hints = Scanner(HINTS)

    async def store(self, batch: Sequence[Delivery]) -> None:
        """Store the spans and evaluation results of these records; what is invalid costs only itself.

        Raises:
            PartlyPoisonError: naming the records that are no OTLP, when all others are stored.
        """
        poisoned: dict[str, PoisonError] = {}
        await self._store_spans([d for d in batch if d.topic == OTLP_SPANS and d.value], poisoned)
        await self._store_logs([d for d in batch if d.topic == OTLP_LOGS and d.value], poisoned)
        if poisoned:
            raise PartlyPoisonError(poisoned)

    async def _store_spans(self, batch: Sequence[Delivery], poisoned: dict[str, PoisonError]) -> None:
        part: list[_Looked] = []
        size = 0
        try:
            async with asyncio.TaskGroup() as inserts:
                slots = asyncio.Semaphore(_INSERTS_AT_ONCE)
                for delivery in batch:
                    try:
                        looked = await self._aside(delivery, partial(self._look, delivery))
                    except PoisonError as error:
                        poisoned[str(delivery)] = error
                        continue
                    part.append(looked)
                    size += len(looked.checked.payload)
                    if size >= _BYTES_AT_A_TIME:
                        await slots.acquire()
                        inserts.create_task(self._insert(part)).add_done_callback(lambda _: slots.release())
                        part, size = [], 0
                await self._insert(part)
        except ExceptionGroup as several:
            raise several.exceptions[0] from several  # as if it were the only one: all are done again

    def _look(self, delivery: Delivery, value: bytes) -> _Looked:
        payload = self._cleaner.traces(value)
        checked = check_traces(payload)
        results = evaluations_in(decode_traces(payload)) if self._hints.marks(payload) else []
        return _Looked(delivery, checked, results)

    async def _aside(self, delivery: Delivery, look: Callable[[bytes], T]) -> T:
        """What `look` makes of the record; on a thread if it may take so long that Kafka misses us."""
        value = delivery.value or b""
        if len(value) > self._most:
            said = f"{len(value)} bytes are more than the {self._most} that are taken"
            raise PoisonError(f"{said} (OUTERLOOP_INGEST_RECORD_BYTES)")
        if len(value) > _LARGE_BYTES or is_json(value):
            return await asyncio.to_thread(look, value)
        return look(value)

    async def _insert(self, part: Sequence[_Looked]) -> None:
        if exports := [each.checked for each in part if each.checked.payload]:
            await self._insert_spans(exports, _token(part))
        results = [result for each in part for result in each.results]
        await evaluations.insert(self._db, results, datetime.now(UTC))
        now = time.monotonic()
        for each in part:
            metrics.SPANS.inc(each.checked.spans)
            await self._set_aside(each.delivery, each.checked.refused, each.checked.left_out)
            for trace_id, rooted in each.checked.seen.items():
                self._tracker.seen(trace_id.hex(), rooted=rooted, now=now)

    async def _insert_spans(self, exports: Sequence[Checked], token: str) -> None:
        try:
            await spans.store(self._db, delimited(each.payload for each in exports), token)
        except spans.RefusedError as refused:
            anew = await asyncio.to_thread(lambda: delimited(map(written_anew, exports)))
            try:
                await spans.store(self._db, anew, token)
            except spans.RefusedError:
                raise refused from None
            log.warning("%d records had to be written anew for ClickHouse: %s", len(exports), refused)

    async def _store_logs(self, batch: Sequence[Delivery], poisoned: dict[str, PoisonError]) -> None:
        results: list[Evaluation] = []
        for delivery in batch:
            try:
                found, refused, left_out = await self._aside(delivery, self._read_logs)
            except PoisonError as error:
                poisoned[str(delivery)] = error
                continue
            results += found
            await self._set_aside(delivery, refused, left_out.SerializeToString())
        await evaluations.insert(self._db, results, datetime.now(UTC))
        now = time.monotonic()
        for result in results:
            # A result may come long after its trace was settled, and alone: it need not wait for a root.
            self._tracker.seen(result.trace_id, rooted=True, now=now)

    def _read_logs(self, value: bytes) -> tuple[list[Evaluation], list[Refusal], ExportLogsServiceRequest]:
        return read_evaluations(decode_logs(self._cleaner.logs(value)))

    async def _set_aside(self, delivery: Delivery, refused: Sequence[Refusal], left_out: bytes) -> None:
        """Put what is invalid where `outerloop dlq` shows it, with the reasons."""
        if not refused:
            return
        for refusal in refused:
            metrics.REFUSED.labels(refusal.reason).inc()
        said = f"{len(refused)} left out of {delivery}: " + "; ".join(
            dict.fromkeys(refusal.what for refusal in refused[:_REASONS])
        )
        log.warning("%s", said)
        await self._bus.set_aside(replace(delivery, value=left_out), InvalidError(refused[0].reason, said))


def _token(part: Sequence[_Looked]) -> str:
    """Names what an insert holds: the same records with the same spans. Offsets alone may begin anew."""
    name = hashlib.blake2b(digest_size=16)
    for each in part:
        name.update(str(each.delivery).encode() + each.checked.span_ids)
    return name.hexdigest()
