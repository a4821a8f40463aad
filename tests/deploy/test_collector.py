"""A stock OpenTelemetry Collector with the example's settings: OTLP in, Apache Kafka, ingest, rows."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from engines.chart import ROOT, tool
from engines.server import Server, accepts, free_port
from outerloop.cli import kafka
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.ingest import app as ingest
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import OTLP_SPANS, dead_letter_topic, topic_of, topics
from outerloop.store.migrate import migrate

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = ROOT / "deploy" / "examples" / "otel-collector" / "config.yaml"
# How a team may have set its exporter: (encoding, compression).
WAYS = [
    ("otlp_proto", "zstd"),
    ("otlp_proto", "none"),
    ("otlp_proto", "snappy"),
    ("otlp_json", "gzip"),
    ("otlp_json", "lz4"),
]


@dataclass(frozen=True)
class Here:
    """Ingest, running on Apache Kafka, and its database."""

    kafka: str
    db: ClickHouse
    settings: Settings

    async def rows(self, agent: str) -> list[dict[str, Any]]:
        return await self.db.query(
            "SELECT TraceId, SpanName, ParentSpanId, Model, InputTokens, ToolName FROM otel_traces FINAL"
            " WHERE ServiceName = {agent:String} ORDER BY TraceId, Timestamp",
            agent=agent,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(apache_kafka: str, chdb: str) -> AsyncIterator[Here]:
    where: dict[str, Any] = {
        "kafka": apache_kafka,
        "clickhouse": chdb,
        "clickhouse_database": f"collected_{uuid.uuid4().hex[:8]}",
    }
    settings = Settings(**where)
    await migrate(settings)
    letters = [dead_letter_topic(topic, "ingest") for topic in ingest.CONSUMES]
    await kafka.create_topics(settings, dict.fromkeys([*topics(), *letters], 2), 1)
    own = ingest.SETTINGS(**where, settle_seconds=0.5, otlp_http_port=0, otlp_grpc_port=0)
    db, bus = ClickHouse(settings), Bus(own, "ingest")
    background = ingest.wire(own, bus, db)
    async with bus:
        tasks = [asyncio.create_task(start()) for start in background]
        yield Here(apache_kafka, db, settings)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await db.close()


@contextlib.contextmanager
def collector(folder: Path, brokers: str, encoding: str, compression: str) -> Iterator[tuple[int, int]]:
    """Its ports for gRPC and HTTP; the example's settings, but for ports and what is given."""
    grpc, http = free_port(), free_port()
    receiver, exporter = "receivers::otlp::protocols", "exporters::kafka"
    sets = {
        f"{receiver}::grpc::endpoint": f"127.0.0.1:{grpc}",
        f"{receiver}::http::endpoint": f"127.0.0.1:{http}",
        f"{exporter}::brokers": f"[{brokers}]",
        f"{exporter}::traces::encoding": encoding,
        f"{exporter}::producer::compression": compression,
        "service::telemetry::metrics::level": "none",
    }
    argv = [tool("otelcol"), f"--config={CONFIG}", *(f"--set={name}={value}" for name, value in sets.items())]
    server = Server(argv, folder / "otelcol.log", lambda: accepts(grpc) and accepts(http))
    server.start()
    try:
        yield grpc, http
    finally:
        assert server.stop() == 0  # it has sent what it had


def tell(exporter: SpanExporter, agent: str, traces: int) -> None:
    """So many runs of an instrumented agent: a root with a call of a model and one of a tool."""
    provider = TracerProvider(resource=Resource.create({"service.name": agent, "service.version": "3"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("agent")
    for _ in range(traces):
        said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
        with tracer.start_as_current_span(f"invoke_agent {agent}", attributes=said):
            said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}
            with tracer.start_as_current_span("chat m-1", attributes=said) as chat:
                chat.set_attribute("gen_ai.usage.input_tokens", 11)
            said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_order"}
            with tracer.start_as_current_span("execute_tool get_order", attributes=said):
                pass
    provider.shutdown()


@pytest.mark.parametrize(("encoding", "compression"), WAYS)
async def test_what_an_agent_tells_a_stock_collector_is_stored_and_settled(
    here: Here, tmp_path: Path, encoding: str, compression: str
) -> None:
    agent = f"agent-{uuid.uuid4().hex[:8]}"
    with collector(tmp_path, here.kafka, encoding, compression) as (grpc, http):
        await asyncio.to_thread(tell, Grpc(f"127.0.0.1:{grpc}", insecure=True), agent, 20)
        await asyncio.to_thread(tell, Http(f"http://127.0.0.1:{http}/v1/traces"), agent, 20)
    async with asyncio.timeout(60):
        while len(rows := await here.rows(agent)) < 120:  # noqa: ASYNC110 - it happens in the engines
            await asyncio.sleep(0.2)
    assert len({row["TraceId"] for row in rows}) == 40
    assert [row["InputTokens"] for row in rows if row["SpanName"] == "chat m-1"] == [11] * 40
    assert sum(row["ToolName"] == "get_order" for row in rows) == 40
    ids = {row["TraceId"] for row in rows}

    async def settled() -> set[str]:
        found = await kafka.records(here.settings, topic_of(TraceSettled).name)
        return {TraceSettled.FromString(record.value).trace_id for record in found} & ids

    async with asyncio.timeout(60):
        while await settled() != ids:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.5)
    assert await kafka.records(here.settings, dead_letter_topic(OTLP_SPANS, "ingest")) == []


async def test_a_stock_collector_writes_to_the_laptops_clickhouse(chdb: str, tmp_path: Path) -> None:
    agent, http = f"agent-{uuid.uuid4().hex[:8]}", free_port()
    database = f"exported_{uuid.uuid4().hex[:8]}"
    (tmp_path / "config.yaml").write_text(
        f"""
        receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
        exporters: {{clickhouse: {{endpoint: "{chdb}", database: {database}, compress: none}}}}
        service:
          telemetry: {{metrics: {{level: none}}}}
          pipelines: {{traces: {{receivers: [otlp], exporters: [clickhouse]}}}}
        """
    )
    argv = [tool("otelcol"), f"--config={tmp_path / 'config.yaml'}"]
    server = Server(argv, tmp_path / "otelcol.log", lambda: accepts(http))
    server.start()
    await asyncio.to_thread(tell, Http(f"http://127.0.0.1:{http}/v1/traces"), agent, 20)
    assert server.stop() == 0  # it has sent what it had
    where: dict[str, Any] = {"clickhouse": chdb, "clickhouse_database": database}
    db = ClickHouse(Settings(**where))
    found = await db.query(
        "SELECT ServiceName, count() AS spans, uniqExact(TraceId) AS traces,"
        " countIf(SpanAttributes['gen_ai.usage.input_tokens'] = '11') AS chats FROM otel_traces GROUP BY 1"
    )
    await db.command(f"DROP DATABASE {database}")
    await db.close()
    assert found == [{"ServiceName": agent, "spans": 60, "traces": 20, "chats": 20}]
