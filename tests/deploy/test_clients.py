"""The example clients, each with its libraries in an environment of its own, run against the scripted model.

What they trace goes over HTTP or gRPC, with a token, into ingest; asserted is what is stored of it.
"""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from engines import order_model
from engines.server import free_port
from outerloop.cli import kafka
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.dev.messages_api import serving
from outerloop.ingest import app as ingest
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topic_of, topics
from outerloop.store import spans
from outerloop.store.migrate import migrate
from outerloop.trace.model import Trace

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-orders"
TOOL_COLUMNS = "ToolName, ToolArguments, ToolResult, ErrorType, StatusCode"


@dataclass(frozen=True)
class Client:
    """An example, and where what it says differs from the others."""

    name: str
    grpc: bool = False
    provider: str = "anthropic"
    model: str = "claude-sonnet-5-5"
    arguments: str = '{"order_id":"%s"}'
    error: str = ""  # ErrorType of a tool's span that failed
    refusal: str = "no order Z-9"  # what its model is told of that
    agent_spans: int = 1


CLIENTS = [
    Client("anthropic_sdk", error="tool_error", refusal="ValueError('no order Z-9')"),
    # OpenInference leaves out the name of a tool's only argument, which the call of the model has, and
    # what a failed tool said.
    Client("langgraph_agent", arguments="%s", refusal=""),
    Client("pydantic_agent", grpc=True),
    Client(
        "openai_agents_sdk",
        provider="openai",  # as OpenInference says of every model of this SDK
        model="anthropic/claude-sonnet-5-5",
        refusal="An error occurred while running the tool. Please try again.",
        agent_spans=2,
    ),
]


@dataclass(frozen=True)
class Here:
    """Ingest with its receivers, its database, and the model."""

    db: ClickHouse
    settings: Settings
    http: int
    grpc: int
    model: str

    async def run(self, client: Client, python: Path, question: str) -> tuple[str, str]:
        """The session of one run of the client, and what it answered."""
        session = f"session-{uuid.uuid4().hex[:8]}"
        where = os.environ | {
            "ANTHROPIC_BASE_URL": self.model,
            "ANTHROPIC_API_KEY": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.grpc if client.grpc else self.http}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
        }
        process = await asyncio.create_subprocess_exec(
            python,
            ROOT / "deploy/examples/clients" / f"{client.name}.py",
            session,
            question,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=where,
        )
        said, complained = await process.communicate()
        assert process.returncode == 0, complained.decode()
        return session, said.decode().strip()

    async def trace(self, session: str) -> Trace:
        """The one trace of a session, once it has settled."""
        sql = "SELECT DISTINCT TraceId FROM otel_traces WHERE SessionId = {session:String}"
        async with asyncio.timeout(120):
            while not (found := await self.db.query(sql, session=session)):  # noqa: ASYNC110 - in the engine
                await asyncio.sleep(0.2)
            while not await self.settled(found[0]["TraceId"]):  # noqa: ASYNC110 - in the broker
                await asyncio.sleep(0.2)
        assert len(found) == 1
        return (await spans.traces(self.db, [found[0]["TraceId"]]))[found[0]["TraceId"]]

    async def settled(self, trace_id: str) -> list[TraceSettled]:
        found = await kafka.records(self.settings, topic_of(TraceSettled).name)
        events = [TraceSettled.FromString(record.value) for record in found]
        return [event for event in events if event.trace_id == trace_id]

    async def tools(self, trace_id: str) -> list[dict[str, Any]]:
        sql = (
            f"SELECT {TOOL_COLUMNS} FROM otel_traces FINAL"  # noqa: S608 - our own
            " WHERE TraceId = {id:String} AND Operation = 'execute_tool'"
        )
        return await self.db.query(sql, id=trace_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tansu: str, chdb: str) -> AsyncIterator[Here]:
    http, grpc = free_port(), free_port()
    where: dict[str, Any] = {
        "kafka": tansu,
        "kafka_idempotent_producer": False,
        "kafka_session_timeout_ms": 6000,
        "clickhouse": chdb,
        "clickhouse_database": f"clients_{uuid.uuid4().hex[:8]}",
    }
    settings = Settings(**where)
    await migrate(settings)
    letters = [dead_letter_topic(topic, "ingest") for topic in ingest.CONSUMES]
    await kafka.create_topics(settings, dict.fromkeys([*topics(), *letters], 1), 1)
    own = ingest.SETTINGS(
        **where, settle_seconds=0.5, otlp_http_port=http, otlp_grpc_port=grpc, otlp_token=SecretStr(TOKEN)
    )
    db, bus = ClickHouse(settings), Bus(own, "ingest")
    background = ingest.wire(own, bus, db)
    async with serving(order_model.reply) as api, bus:
        tasks = [asyncio.create_task(start()) for start in background]
        yield Here(db, settings, http, grpc, api.url)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await db.close()


@cache
def environment(name: str) -> Path:
    """The Python of a client's environment; skips where it cannot be made."""
    ready = Path(".cache/clients") / name / ".ready"
    made = subprocess.run(["make", str(ready)], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        why = [line for line in made.stderr.splitlines() if not line.startswith("make")]
        pytest.skip(
            f"no environment for {name} (make client-environments): {' '.join(' '.join(why).split())}"
        )
    return ROOT / ready.parent / "bin/python"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_what_a_client_traces_is_stored_and_understood(here: Here, client: Client) -> None:
    python = await asyncio.to_thread(environment, client.name)
    session, said = await here.run(client, python, "Where is order A-1?")
    assert said == "Your order: shipped, arrives on Tuesday"
    trace = await here.trace(session)
    assert len(await here.settled(trace.trace_id)) == 1
    assert (trace.agent, trace.version, trace.root.service) == ("orders-agent", "1.4.0", "orders-agent")
    assert trace.root.operation == "invoke_agent"
    assert {span.agent for span in trace.spans} <= {"orders-agent", ""}
    assert {span.session_id for span in trace.spans} == {session}
    operations = [span.operation for span in trace.spans if span.operation]
    assert sorted(operations) == ["chat"] * 2 + ["execute_tool"] + ["invoke_agent"] * client.agent_spans
    calls = trace.model_calls
    assert {(call.provider, call.model) for call in calls} == {(client.provider, client.model)}
    assert all(call.input_tokens > 0 and call.output_tokens > 0 for call in calls)
    assert (trace.request, trace.answer) == ("Where is order A-1?", said)
    assert [call["name"] for call in tool_calls(calls[0].output)] == ["get_order"]
    assert "shipped, arrives on Tuesday" in calls[1].input
    assert [normal(row) for row in await here.tools(trace.trace_id)] == [
        ("get_order", client.arguments % "A-1", "shipped, arrives on Tuesday", "", False)
    ]
    assert [call.arguments for call in trace.tool_calls] == [{"order_id": "A-1"}]
    assert not any(span.failed for span in trace.spans)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_tool_that_fails_shows_as_an_error(here: Here, client: Client) -> None:
    python = await asyncio.to_thread(environment, client.name)
    session, said = await here.run(client, python, "Where is order Z-9?")
    trace = await here.trace(session)
    assert len(await here.settled(trace.trace_id)) == 1
    assert [normal(row) for row in await here.tools(trace.trace_id)] == [
        ("get_order", client.arguments % "Z-9", client.refusal, client.error, True)
    ]
    (call,) = trace.tool_calls
    assert call.failed
    assert [span.span_id for span in trace.spans if span.failed] == [call.span_id]  # its run went on
    assert trace.answer == said


def normal(row: dict[str, Any]) -> tuple[str, str, str, str, bool]:
    """A tool's columns, arguments without blanks; the last: whether it has an error's status."""
    arguments = row["ToolArguments"]
    if arguments.startswith("{"):
        arguments = json.dumps(json.loads(arguments), separators=(",", ":"))
    return row["ToolName"], arguments, row["ToolResult"], row["ErrorType"], row["StatusCode"] == "Error"


def tool_calls(messages: str) -> list[Any]:
    """The calls of tools in GenAI messages."""
    parts = [part for message in json.loads(messages) for part in message["parts"]]
    return [part for part in parts if part["type"] == "tool_call"]
