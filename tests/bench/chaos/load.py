"""What is sent: numbered spans, so that what is missing or twice can be told from their ids alone."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc.aio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from outerloop.runtime.topics import OTLP_SPANS

SPANS_A_TRACE = 50
TRACES_A_RECORD = 4
SPANS_A_RECORD = 100  # half of each of four traces: a trace is in two records
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_AT_ONCE = 24
_TIMEOUT_SECONDS = 15.0
_AGAIN_SECONDS = 0.2


def records(spans: int, agents: int) -> Iterator[bytes]:
    """So many spans, as requests of SPANS_A_RECORD each."""
    began = int(time.time() - 3600) * samples.NS
    for number in range(spans // SPANS_A_RECORD):
        group, half = divmod(number, 2)
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        service = f"agent-{group % agents}"
        resource.resource.attributes.extend(samples.attributes(service__name=service, service__version="1"))
        scope = resource.scope_spans.add()
        for trace in range(group * TRACES_A_RECORD, (group + 1) * TRACES_A_RECORD):
            for place in range(half, SPANS_A_TRACE, 2):
                scope.spans.append(_span(trace, place, service, began))
        yield request.SerializeToString()


def _span(trace: int, place: int, service: str, began: int) -> Any:
    span = samples.span(trace + 1, place, "invoke_agent" if place == 0 else "chat m")
    # Over an hour, so that rollups by the minute or hour have something to add up.
    span.start_time_unix_nano = began + trace % 3000 * samples.NS + place * 1000
    span.end_time_unix_nano = span.start_time_unix_nano + 1_000_000
    said: dict[str, str | float] = {"gen_ai__operation__name": "chat", "gen_ai__usage__input_tokens": 12}
    if place == 0:
        said = {"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": service}
    span.attributes.extend(samples.attributes(**said))
    return span


@dataclass
class Sender:
    """Sends each record until it is acknowledged, by Kafka or by ingest's receiver (`otlp`: what share)."""

    kafka: str
    receiver: str
    otlp: float
    random: Random
    sent: int = 0
    repeated: int = 0
    _allowed: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def allow(self, spans: int) -> None:
        """Go on until so many spans are sent in all."""
        self._allowed = spans
        self._more.set()

    async def send(self, made: Iterator[bytes]) -> None:
        """Send all; returns when all are acknowledged."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka,
            acks="all",
            enable_idempotence=False,  # as a Collector: what it sends again may be there twice
            request_timeout_ms=int(_TIMEOUT_SECONDS * 1000),
            compression_type="zstd",
        )
        await producer.start()
        slots = asyncio.Semaphore(_AT_ONCE)
        try:
            async with grpc.aio.insecure_channel(self.receiver) as channel, asyncio.TaskGroup() as group:
                export = channel.unary_unary(EXPORT)
                for record in made:
                    await self._until_allowed()
                    await slots.acquire()
                    over_otlp = self.random.random() < self.otlp
                    how = self._by_otlp(export, record) if over_otlp else self._by_kafka(producer, record)
                    group.create_task(how).add_done_callback(lambda _: slots.release())
        finally:
            with contextlib.suppress(KafkaError):
                await producer.stop()

    async def _until_allowed(self) -> None:
        while self.sent + _AT_ONCE * SPANS_A_RECORD > self._allowed:
            self._more.clear()
            await self._more.wait()

    async def _by_kafka(self, producer: AIOKafkaProducer, record: bytes) -> None:
        while True:
            try:
                await producer.send_and_wait(OTLP_SPANS, record)
            except (KafkaError, OSError):
                self.repeated += 1
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self.sent += SPANS_A_RECORD
                return

    async def _by_otlp(self, export: Any, record: bytes) -> None:
        while True:
            try:
                await export(record, timeout=_TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError:
                self.repeated += 1
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self.sent += SPANS_A_RECORD
                return
