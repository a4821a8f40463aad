"""Triage alone, with as many workers as asked for, over a real broker and a real engine."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from outerloop.cli import kafka
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topic_of, topics
from outerloop.store.migrate import migrate
from outerloop.trace.otlp import spans_of
from outerloop.triage import app
from rows import insert as insert_spans

T = TypeVar("T")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Workers:
    """The running workers, and what a test asks of them."""

    settings: Settings
    bus: Bus
    db: ClickHouse
    reader: AIOKafkaConsumer  # sees how far the group is

    async def store(self, runs: Sequence[ExportTraceServiceRequest]) -> list[str]:
        """Store runs as ingest would; their trace ids."""
        found = [span for run in runs for span in spans_of(run)]
        await insert_spans(self.db, found, datetime.now(UTC))
        return list(dict.fromkeys(span.trace_id for span in found))

    async def settle(self, trace_ids: Sequence[str], revision: str = "1") -> None:
        for trace_id in trace_ids:
            message = TraceSettled(trace_id=trace_id, revision=revision)
            await self.bus.publish(message, because=(trace_id, revision))

    async def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await self.db.query(sql, **parameters)]

    async def records(self, kind: type[M]) -> list[M]:
        found = await kafka.records(self.settings, topic_of(kind).name)
        return [kind.FromString(record.value) for record in found]

    async def at_rest(self) -> None:
        """Until nothing waits for triage, and what it sent itself neither."""
        async with asyncio.timeout(60):
            while await self._waits():  # noqa: ASYNC110 - Kafka has no event for it
                await asyncio.sleep(0.05)

    async def _waits(self) -> bool:
        parts = self.reader.assignment()
        done = {part: await self.reader.committed(part) or 0 for part in parts}
        ends = await self.reader.end_offsets(parts)
        return any(ends[part] > done[part] for part in parts)

    async def eventually(self, ask: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
        async with asyncio.timeout(seconds):
            while not (answer := await ask()):  # noqa: ASYNC110 - it happens in services, broker and engine
                await asyncio.sleep(0.05)
        return answer


@asynccontextmanager
async def workers(
    broker: str, clickhouse: str, *, count: int, partitions: int, looking: bool = False, **settings: Any
) -> AsyncIterator[Workers]:
    """Workers that share a new database; `looking`: also with what runs beside their handlers."""
    where: dict[str, Any] = {
        "kafka": broker,
        "kafka_idempotent_producer": False,
        "kafka_session_timeout_ms": 6000,
        "clickhouse": clickhouse,
        "clickhouse_database": f"triage_{uuid.uuid4().hex[:8]}",
        "retries": 1,
    }
    own = app.SETTINGS(**where, **settings)
    await migrate(own)
    letters = [dead_letter_topic(topic, "triage") for topic in app.CONSUMES]
    await kafka.create_topics(own, dict.fromkeys([*topics(), *letters], partitions), 1)
    async with AsyncExitStack() as stack:
        buses = []
        for _ in range(count):
            db = ClickHouse(own)
            stack.push_async_callback(db.close)
            bus = Bus(own, "triage")
            beside = app.wire(own, bus, db)
            buses.append(await stack.enter_async_context(bus))
            for look in beside if looking else ():
                stack.push_async_callback(_ended, asyncio.ensure_future(look()))
        reader = AIOKafkaConsumer(
            bootstrap_servers=broker, group_id="outerloop-triage", enable_auto_commit=False
        )
        await stack.enter_async_context(kafka.connected(own, reader))
        reader.assign([TopicPartition(t, n) for t in app.CONSUMES for n in range(partitions)])
        yield Workers(own, buses[0], db, reader)


async def _ended(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
