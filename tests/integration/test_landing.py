"""ClickHouse's own reading of OTLP: the rows that it makes are what Python reads of the same bytes."""

import contextlib
import math
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from dialects import FIXTURES
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store import dialect_sql, landing, spans
from outerloop.store.dialect_sql import ALIASES
from outerloop.store.migrate import migrate, migrations
from outerloop.trace.model import Span
from outerloop.trace.otlp import decode_traces, spans_of, split_delimited
from outerloop.trace.text import quoted, text_of_double
from outerloop.trace.wire import check_traces, delimited

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACES = Path(os.environ.get("OUTERLOOP_TRACES", Path(__file__).parents[3] / "shared" / "traces"))
FILES = sorted(TRACES.glob("*.otlp.pb.zst"))
NOW = datetime.now(UTC)
FEW = 20  # traces of each file: every shape is among them


@contextlib.asynccontextmanager
async def database(chdb: str, name: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"{name}_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    one = ClickHouse(settings)
    yield one
    await one.command(f"DROP DATABASE {settings.clickhouse_database}")
    await one.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    async with database(chdb, "landing") as one:
        yield one


async def store(db: ClickHouse, payloads: Sequence[bytes], token: str = "") -> None:
    exports = [checked.payload for checked in map(check_traces, payloads) if checked.payload]
    await spans.store(db, delimited(exports), token or uuid.uuid4().hex)


async def stored(db: ClickHouse, trace_ids: Sequence[str]) -> dict[tuple[str, str], Span]:
    found = await spans.traces(db, trace_ids)
    return {(s.trace_id, s.span_id): s for trace in found.values() for s in trace.spans}


async def content(db: ClickHouse, trace_ids: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """What SQL says of messages and tool calls; spans.traces has Python say it."""
    columns = ", ".join(f"{column} AS {field}" for column, field in ALIASES.items())
    rows = await db.query(
        f"SELECT TraceId, SpanId, {columns} FROM otel_traces FINAL WHERE TraceId IN {{i:Array(String)}}",  # noqa: S608
        i=list(trace_ids),
    )
    return {(row.pop("TraceId"), row.pop("SpanId")): row for row in rows}


async def agree(db: ClickHouse, payloads: Sequence[bytes]) -> None:
    expected = {(s.trace_id, s.span_id): s for p in payloads for s in spans_of(decode_traces(p))}
    await store(db, payloads)
    ids = sorted({trace_id for trace_id, _ in expected})
    got, said = await stored(db, ids), await content(db, ids)
    assert got.keys() == expected.keys()
    for key, span in expected.items():
        # ClickHouse reads a double by a quicker way, which may miss by the last bit.
        assert math.isclose(got[key].cost, span.cost)
        assert replace(got[key], cost=span.cost) == span
        assert said[key] == {field: getattr(span, field) for field in ALIASES.values()}


async def test_the_committed_migration_is_what_the_table_of_dialects_gives() -> None:
    files = resources.files("outerloop.store") / "migrations"
    assert (files / "0060_dialects.sql").read_text() == dialect_sql.migration(), (
        "trace/dialects.py has changed: add a migration, by `python -m outerloop.store.dialect_sql`"
    )
    view = "".join(f"{statement};\n" for statement in landing.statements())
    assert (files / "0012_landing.sql").read_text().endswith(view), (
        "store/landing.py has changed: add a migration with what its statements() gives"
    )


async def test_python_and_sql_agree_on_every_dialect(db: ClickHouse) -> None:
    exports = [f.export(1000 + number) for number, f in enumerate(FIXTURES.values())]
    await agree(db, [export.SerializeToString() for export in exports])


@pytest.mark.skipif(not FILES, reason=f"no traces in {TRACES} (OUTERLOOP_TRACES)")
async def test_python_and_sql_agree_on_recorded_traces(db: ClickHouse) -> None:
    for file in FILES:
        with zstandard.open(file, "rb") as raw:
            records = list(split_delimited(raw.read()))
        await agree(db, records[:: max(1, len(records) // FEW)])


@pytest.mark.parametrize("name", ["airline_tau2", "sample_structured_anyvalue", "workspace_agentdojo"])
async def test_a_history_takes_little_on_disk(chdb: str, name: str) -> None:
    file = TRACES / f"{name}.otlp.pb.zst"
    if not file.is_file():
        pytest.skip(f"no {file} (OUTERLOOP_TRACES)")
    with zstandard.open(file, "rb") as raw:
        records = list(split_delimited(raw.read()))
    async with database(chdb, "disk") as db:
        await store(db, records)
        await db.command("OPTIMIZE TABLE otel_traces FINAL")
        (row,) = await db.query(
            "SELECT sum(bytes_on_disk) AS n FROM system.parts"
            " WHERE active AND database = currentDatabase() AND table = 'otel_traces'"
        )
    assert 0 < row["n"] <= 0.04 * sum(map(len, records))


async def test_spans_of_before_are_kept(chdb: str) -> None:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"before_{uuid.uuid4().hex[:8]}")
    server = ClickHouse(settings.model_copy(update={"clickhouse_database": "default"}))
    await server.command(f"CREATE DATABASE {settings.clickhouse_database} ENGINE = Atomic")
    db = ClickHouse(settings)
    first, later = migrations()[0], migrations()[10:12]
    for statement in first.statements:
        await db.command(statement)
    (span, *_) = spans_of(samples.run(1, "Hi"))
    row = {"Timestamp": span.start_ns, "TraceId": span.trace_id, "SpanId": span.span_id, "StoredAt": NOW}
    row |= {"SpanAttributes": dict(span.attributes), "Input": span.input, "AgentName": "old"}
    await db.insert("otel_traces", [row])
    for _ in range(2):  # a crash may have it done again
        for migration in later:
            for statement in migration.statements:
                await db.command(statement)
    (got,) = await db.query("SELECT AgentName, Input, SpanAttributes, Output, Shape FROM otel_traces FINAL")
    assert (got["AgentName"], got["Input"], got["Shape"]) == ("old", span.input, "")
    assert (got["SpanAttributes"], got["Output"]) == (span.attributes, span.output)
    await db.close()
    await server.command(f"DROP DATABASE {settings.clickhouse_database}")
    await server.close()


async def test_the_same_insert_again_stores_nothing(db: ClickHouse) -> None:
    payload = samples.run(1, "Hi").SerializeToString()
    for _ in range(2):
        await store(db, [payload], "token-1")
    (row,) = await db.query(
        "SELECT count() AS n FROM otel_traces WHERE TraceId = {i:String}", i=samples.trace_id(1)
    )
    assert row["n"] == 2


async def test_json_and_protobuf_make_the_same_rows(db: ClickHouse) -> None:
    payload = (
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"0000000000000001","name":"n",'
        b'"startTimeUnixNano":"1795435200123456789","attributes":[{"key":"a","value":{"intValue":"3"}}]}]}]}]}'
        % samples.trace_id(2).encode()
    )
    await agree(db, [payload])


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
async def test_texts_and_doubles_read_in_python_as_in_sql(db: ClickHouse, data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=20, max_size=50))
    doubles = data.draw(st.lists(st.floats(), min_size=50, max_size=100))
    export = ExportTraceServiceRequest()
    span = samples.span(3, 0, "x")
    span.attributes.add(key="texts").value.array_value.values.extend(
        [type(span.attributes.add().value)(string_value=text) for text in texts]
    )
    for number, double in enumerate(doubles):
        span.attributes.add(key=str(number)).value.double_value = double
    export = samples.request(span)
    await store(db, [export.SerializeToString()])
    (got,) = (await stored(db, [samples.trace_id(3)])).values()
    assert got.attributes["texts"] == f"[{','.join(map(quoted, texts))}]"
    assert [got.attributes[str(n)] for n in range(len(doubles))] == [text_of_double(d) for d in doubles]
