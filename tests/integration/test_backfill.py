"""`outerloop backfill` from files to rows: every format, twice the same, and what is wrong."""

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import zstandard
from typer.testing import CliRunner

import samples
from outerloop.cli import app, kafka
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.quiet import Patience, Tracker
from outerloop.ingest.settings import IngestSettings
from outerloop.ingest.storing import Storing
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS, dead_letter_topic
from outerloop.store.migrate import migrate
from outerloop.trace.otlp import to_json
from outerloop.trace.wire import delimited
from unit.test_foreign import COLUMNS, OBSERVATION, OTHER, TRACE

pytestmark = pytest.mark.asyncio(loop_scope="module")
RUNS = [samples.run(n, "Hi") for n in range(1, 4)]
PAYLOADS = [run.SerializeToString() for run in RUNS]
PARQUET = {k: v for k, v in COLUMNS.items() if k != "attributes.llm.output_messages"}


class Here:
    """The command, and what ingest makes of what it sends."""

    def __init__(self, own: IngestSettings, bus: Bus, db: ClickHouse) -> None:
        self._own, self._db = own, db
        self._storing = Storing(own, bus, db, Cleaner(own), Tracker(Patience()))
        self._seen = {OTLP_SPANS: 0, OTLP_LOGS: 0}

    async def backfill(self, *arguments: str | Path) -> tuple[int, Any]:
        """Exit code and report, once all is stored."""
        env = {"OUTERLOOP_KAFKA": self._own.kafka}
        said = ["backfill", *map(str, arguments), "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, app, said, env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        for topic, seen in self._seen.items():
            found = await kafka.records(self._own, topic)
            batch = [Delivery(topic, r.partition, r.offset, r.key, r.value) for r in found[seen:]]
            self._seen[topic] = len(found)
            assert all(record.key for record in batch)  # a trace's records come to one replica
            await self._storing.store(batch)
        return result.exit_code, json.loads(result.stdout)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await self._db.query(sql)]

    async def traces(self) -> dict[str, int]:
        """Spans by trace."""
        sql = "SELECT TraceId, count() FROM otel_traces FINAL GROUP BY TraceId ORDER BY TraceId"
        return dict(await self.rows(sql))

    async def forget(self) -> None:
        for table in ("otel_traces", "evaluations"):
            await self._db.command(f"TRUNCATE TABLE {table}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tansu: str, chdb: str) -> AsyncIterator[Here]:
    own = IngestSettings(
        kafka=tansu,
        kafka_idempotent_producer=False,
        clickhouse=chdb,
        clickhouse_database=f"backfill_{uuid.uuid4().hex[:8]}",
    )
    await migrate(own)
    names = [OTLP_SPANS, OTLP_LOGS]
    await kafka.create_topics(
        own, dict.fromkeys([*names, *(dead_letter_topic(n, "ingest") for n in names)], 1), 1
    )
    db = ClickHouse(own)
    async with Bus(own, "ingest") as bus:
        yield Here(own, bus, db)
    await db.command(f"DROP DATABASE {own.clickhouse_database}")
    await db.close()


@pytest_asyncio.fixture(loop_scope="module")
async def here(world: Here) -> Here:
    await world.forget()
    return world


FORMS = {
    "delimited.pb": delimited(PAYLOADS),
    "delimited.pb.zst": zstandard.compress(delimited(PAYLOADS)),
    "collector.pb.gz": gzip.compress(b"".join(len(p).to_bytes(4, "big") + p for p in PAYLOADS)),
    "one.pb": b"".join(PAYLOADS),  # concatenated, messages of protobuf are one
    "lines.jsonl": "\n".join(map(to_json, RUNS)).encode(),
    "pretty.json": json.dumps(
        {"resourceSpans": [json.loads(to_json(run))["resourceSpans"][0] for run in RUNS]}, indent=2
    ).encode(),
}


@pytest.mark.parametrize("name", FORMS)
async def test_otlp_comes_in_from_every_form_of_file_and_twice_is_once(
    here: Here, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    for _ in range(2):
        code, report = await here.backfill(tmp_path / name)
        assert (code, report["spans"], report["left_out"]) == (0, 6, 0)
        assert await here.traces() == {samples.trace_id(n): 2 for n in range(1, 4)}


async def test_logs_of_otlp_json_are_evaluations(here: Here, tmp_path: Path) -> None:
    (tmp_path / "logs.json").write_text(to_json(samples.evaluation(1, "policy", "fail")))
    assert (await here.backfill(tmp_path / "logs.json"))[1]["evaluations"] == 1
    assert await here.rows("SELECT name, bad FROM evaluations FINAL") == [("policy", True)]


def lines(rows: Sequence[Any]) -> bytes:
    return "\n".join(json.dumps(row, default=str) for row in rows).encode()


LANGFUSE = [
    OBSERVATION | {"parent_observation_id": ""},
    {"id": TRACE, "timestamp": "2024-05-29 13:46:19.963", "name": "support", "input": "Where is it?"},
    {"id": "s", "trace_id": TRACE, "name": "thumb", "value": -1, "timestamp": "2024-05-29 13:46:19.963"},
    OBSERVATION | {"id": "x", "trace_id": OTHER, "type": "TOOL"},
]


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
async def test_langfuse_comes_in(here: Here, form: str, tmp_path: Path) -> None:
    file = tmp_path / f"export.{form}"
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(_table(LANGFUSE), file)
    else:
        file.write_bytes(lines(LANGFUSE) if form == "jsonl" else json.dumps(LANGFUSE).encode())
    for _ in range(2):
        code, report = await here.backfill(file, "--langfuse", "--agent", "shop")
        assert (code, report["records"], report["spans"], report["evaluations"]) == (0, 4, 3, 1)
        assert await here.traces() == {TRACE: 2, OTHER.replace("-", ""): 1}
        assert report["unmapped"] == {"tool_definitions": 2}
    sql = (
        "SELECT Operation, AgentName, Model, InputTokens, ParentSpanId = '' FROM otel_traces FINAL ORDER BY 1"
    )
    assert await here.rows(sql) == [
        ("chat", "", "gpt-4o", 12, False),
        ("execute_tool", "", "gpt-4o", 12, False),
        ("invoke_agent", "shop", "", 0, True),
    ]
    assert await here.rows("SELECT name, score, source FROM evaluations FINAL") == [("thumb", -1.0, "shop")]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_phoenix_comes_in(here: Here, form: str, tmp_path: Path) -> None:
    file = tmp_path / f"spans.{form}"
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(_table([PARQUET]), file)
    else:
        file.write_bytes(lines([PARQUET]))
    for _ in range(2):
        code, report = await here.backfill(file, "--phoenix", "--agent", "shop")
        assert (code, report["spans"], report["unmapped"]) == (0, 1, {"notes": 1})
        assert await here.traces() == {TRACE: 1}
    sql = "SELECT Operation, Model, InputTokens, OutputTokens, Input, StatusCode FROM otel_traces FINAL"
    messages = '[{"role":"user","parts":[{"type":"text","content":"Where is it?"}]}]'
    assert await here.rows(sql) == [("chat", "gpt-4o", 12, 0, messages, "Error")]


async def test_what_is_wrong_is_said_by_file_and_record_and_costs_only_itself(
    here: Here, tmp_path: Path
) -> None:
    file = tmp_path / "export.jsonl"
    file.write_bytes(lines(LANGFUSE[:1]) + b"\n{\n5\n" + lines([{"trace_id": TRACE}, LANGFUSE[3]]))
    code, report = await here.backfill(file, "--langfuse", "--agent", "shop")
    assert (code, report["records"], report["spans"], report["left_out"]) == (1, 5, 2, 3)
    assert [wrong.partition(":")[0] for wrong in report["wrong"]] == [
        f"{file}, record {n}" for n in (2, 3, 4)
    ]
    assert [wrong.partition(": ")[2].split(":")[0] for wrong in report["wrong"]] == [
        "is no JSON",
        "is no JSON object",
        "is no observation (start_time), no score (value) and no trace (no trace_id)",
    ]
    (tmp_path / "broken.pb").write_bytes(PAYLOADS[0][:-1])
    code, report = await here.backfill(tmp_path / "broken.pb")
    assert (code, report["spans"], report["left_out"]) == (1, 0, 1)
    assert "not an OTLP" in report["wrong"][0]


async def test_it_sends_no_faster_than_it_is_told(here: Here, tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(delimited(PAYLOADS))
    began = time.monotonic()
    await here.backfill(tmp_path / "a.pb", "--per-second", "6")
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a", "--langfuse"], "--agent goes with --langfuse or --phoenix"),
        (["a", "--agent", "x"], "--agent goes with --langfuse or --phoenix"),
        (["a", "--langfuse", "--phoenix", "--agent", "x"], "one at a time"),
        (["missing.json"], "missing.json: No such file"),
        (["missing.parquet", "--phoenix", "--agent", "x"], "missing.parquet"),
    ],
)
async def test_what_a_person_got_wrong_is_one_sentence(here: Here, arguments: list[str], says: str) -> None:
    with pytest.raises(Exception, match=says) as raised:
        await here.backfill(*arguments)
    assert type(raised.value).__name__ == "UserError"


def _table(rows: Sequence[Any]) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.Table.from_pylist(
        [{name: row.get(name) for name in {n for r in rows for n in r}} for row in rows]
    )
