"""The measurements. Times are seconds on the wall; rates are spans a second."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from aiokafka import AIOKafkaProducer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import rows
from bench.ingest.world import World
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.topics import OTLP_SPANS
from outerloop.store import spans
from outerloop.store.migrate import migrate
from outerloop.trace.otlp import read_spans
from outerloop.trace.wire import check_traces, delimited

Load = Sequence[tuple[bytes, int]]
_POLL = 0.05
_STUCK_SECONDS = 60.0
_INSERT_BYTES = 24 * 1024 * 1024
_INSERTS_AT_ONCE = 3


def batched(load: Load, most: int) -> Iterator[Load]:
    """Parts of at most so many records."""
    rest = iter(load)
    while part := tuple(islice(rest, most)):
        yield part


@dataclass(frozen=True, slots=True)
class Drained:
    """Ingest over a backlog: from the first row to the last."""

    spans_per_s: float
    stored: int
    sent: int


@contextlib.asynccontextmanager
async def database(here: World, name: str) -> AsyncIterator[ClickHouse]:
    """A database of its own, migrated; gone afterwards."""
    settings = here.settings.model_copy(update={"clickhouse_database": name})
    await migrate(settings)
    db = ClickHouse(settings)
    try:
        yield db
    finally:
        await db.command(f"DROP DATABASE {name}")
        await db.close()


async def limit(here: World, load: Load) -> float:
    """The same bytes, parsed and stored by ClickHouse alone; they are made ready before the clock starts."""
    exports = [check_traces(payload).payload for payload, _ in load]
    bodies, part, size = list[bytes](), list[bytes](), 0
    for export in exports:
        part.append(export)
        size += len(export)
        if size >= _INSERT_BYTES:
            bodies.append(delimited(part))
            part, size = [], 0
    bodies += [delimited(part)] if part else []
    async with database(here, "bench_limit") as db:
        slots = asyncio.Semaphore(_INSERTS_AT_ONCE)

        async def insert(number: int, body: bytes) -> None:
            async with slots:
                await spans.store(db, body, f"limit-{number}")

        began = time.monotonic()
        await asyncio.gather(*(insert(number, body) for number, body in enumerate(bodies)))
        return sum(held for _, held in load) / (time.monotonic() - began)


async def plain(here: World, load: Load) -> float:
    """Parsed to spans, rows built, inserted: what one would write first."""
    async with database(here, "bench_plain") as db:
        began = time.monotonic()
        for part in batched(load, 20):
            read = [read_spans(ExportTraceServiceRequest.FromString(payload))[0] for payload, _ in part]
            await rows.insert(db, [span for found in read for span in found], datetime.now(UTC))
        return sum(held for _, held in load) / (time.monotonic() - began)


def redaction(load: Load, redact: str) -> float:
    """Microseconds of CPU a span that redaction by this setting takes; the least of three passes."""
    cleaner = Cleaner(IngestSettings(redact=redact))
    took = []
    for _ in range(3):
        began = time.process_time()
        for payload, _held in load:
            cleaner.traces(payload)
        took.append(time.process_time() - began)
    return min(took) / sum(held for _, held in load) * 1e6


async def produce(here: World, load: Load, topic: str = OTLP_SPANS) -> None:
    """Put all into Kafka, as a Collector does: compressed, acknowledged."""
    async with _producer(here) as producer:
        for part in batched(load, 200):
            await asyncio.gather(*[await producer.send(topic, payload) for payload, _ in part])


async def drain(here: World, load: Load, say: Callable[[str], None]) -> Drained:
    """Start ingest before a backlog and wait for its end. Rows that are there already do not count."""
    sent = sum(held for _, held in load)
    db = ClickHouse(here.settings)
    try:
        before = await _count(db)
        await here.stack.start("ingest")
        began = first = moved = time.monotonic()
        seen = at_first = 0
        while seen < sent and time.monotonic() - moved < _STUCK_SECONDS:
            stored = await _count(db) - before
            now = time.monotonic()
            if stored > seen:
                moved, seen = now, stored
                if not at_first:
                    first, at_first = now, stored
            await asyncio.sleep(_POLL)
        say(f"{seen} of {sent} spans stored, {at_first} of them by the first look that found any")
        unique = (await db.query("SELECT uniqExact(TraceId, SpanId) AS n FROM otel_traces"))[0]["n"]
        if at_first == seen:  # too few for a rate of their own: with the time that joining the group takes
            first, at_first = began, 0
        return Drained((seen - at_first) / (moved - first), unique - before, sent)
    finally:
        await db.close()


async def visible(here: World, load: Load, rate: float) -> list[float]:
    """Seconds from a record's acknowledgement until a query counts its spans, at `rate` spans a second."""
    db = ClickHouse(here.settings)
    before = await _count(db)
    waiting: list[tuple[int, float]] = []  # spans in all with this record, when it was acknowledged
    took: list[float] = []
    done = asyncio.Event()

    async def look() -> None:
        while not (done.is_set() and not waiting):
            stored = await _count(db) - before
            now = time.monotonic()
            while waiting and waiting[0][0] <= stored:
                took.append(now - waiting.pop(0)[1])
            await asyncio.sleep(_POLL)

    try:
        async with asyncio.timeout(300), asyncio.TaskGroup() as group, _producer(here) as producer:
            group.create_task(look())
            began, total = time.monotonic(), 0
            for part in batched(load, 20):
                await asyncio.gather(*[await producer.send(OTLP_SPANS, payload) for payload, _ in part])
                total += sum(held for _, held in part)
                waiting.append((total, time.monotonic()))
                await asyncio.sleep(max(0.0, began + total / rate - time.monotonic()))
            done.set()
    finally:
        await db.close()
    return sorted(took)


@contextlib.asynccontextmanager
async def _producer(here: World) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=here.settings.kafka,
        acks="all",
        compression_type="zstd",
        max_batch_size=1024 * 1024,
        max_request_size=15 * 1024 * 1024,
        linger_ms=5,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _count(db: ClickHouse) -> int:
    stored: int = (await db.query("SELECT count() AS n FROM otel_traces"))[0]["n"]
    return stored
