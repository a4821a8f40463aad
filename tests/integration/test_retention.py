"""What has been kept for long enough goes, by agent; ClickHouse's own logs have an end."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

import samples
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings, load
from outerloop.store import evaluations, retention, settlements, spans, system_logs
from outerloop.store.migrate import migrate
from outerloop.trace.evaluation import evaluations_of
from outerloop.trace.wire import check_traces, delimited

NOW = datetime.now(UTC)
AGENTS = {1: "short", 2: "long", 3: "forever", 4: "other", 5: ""}  # 5 names none: it is of its service


@pytest_asyncio.fixture
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"kept_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    one = ClickHouse(settings)
    yield one
    await one.command(f"DROP DATABASE {settings.clickhouse_database}")
    await one.close()


async def left(db: ClickHouse, table: str, column: str) -> set[int]:
    """Numbers of the traces that are there once ClickHouse has done what it was asked to."""
    pending = "SELECT count() AS n FROM system.mutations WHERE database = {d:String} AND NOT is_done"
    async with asyncio.timeout(30):
        while (await db.query(pending, d=db.database))[0]["n"]:  # noqa: ASYNC110 - the engine is at it
            await asyncio.sleep(0.05)
    return {int(row["id"], 16) for row in await db.query(f"SELECT DISTINCT {column} AS id FROM {table}")}  # noqa: S608


async def store(db: ClickHouse) -> None:
    for number, agent in AGENTS.items():
        run = samples.run(number, "Hi", agent=agent)
        if not agent:
            run = samples.request(samples.span(number, 0, "x"), service="short")
        payload = check_traces(run.SerializeToString()).payload
        await spans.store(db, delimited([payload]), f"token-{number}")
        await evaluations.insert(
            db, evaluations_of(samples.evaluation(number, "q", "pass")), datetime.now(UTC)
        )
    ids = [samples.trace_id(number) for number in AGENTS]
    await settlements.insert(db, await settlements.summaries(db, ids))


async def test_each_agents_traces_go_when_their_days_are_over(db: ClickHouse) -> None:
    await store(db)
    days = {"short": 1, "long": 10, "forever": 0}

    async def after(**passed: float) -> list[set[int]]:
        await retention.expire(db, days, 5, NOW + timedelta(**passed))
        tables = (("otel_traces", "TraceId"), ("evaluations", "trace_id"), ("settlements", "trace_id"))
        return [await left(db, table, column) for table, column in tables]

    assert await after(hours=23) == [{1, 2, 3, 4, 5}] * 3
    assert await after(days=2) == [{2, 3, 4}, {2, 3, 4}, {1, 2, 3, 4, 5}]
    assert await after(days=6) == [{2, 3}, {2, 3}, {1, 2, 3, 4, 5}]
    assert await after(days=11) == [{3}, {3}, {2, 3, 4}]
    assert await after(days=5000) == [{3}, {3}, {3}]


async def test_what_came_late_keeps_its_trace(db: ClickHouse) -> None:
    await store(db)
    (late,) = await settlements.summaries(db, [samples.trace_id(1)])
    await settlements.insert(db, [replace(late, revision="later", through=NOW + timedelta(days=1))])
    assert await retention.expire(db, {"short": 1}, 0, NOW + timedelta(days=1.5)) == 1  # 5, of the service
    assert await left(db, "otel_traces", "TraceId") == {1, 2, 3, 4}


async def test_without_days_nothing_goes(db: ClickHouse) -> None:
    await store(db)
    assert await retention.expire(db, {}, 0, NOW + timedelta(days=36500)) == 0
    assert await left(db, "otel_traces", "TraceId") == set(AGENTS)


async def test_logs_without_an_end_get_one(db: ClickHouse) -> None:
    for name, ttl in (("query_log", ""), ("part_log", "TTL event_date + INTERVAL 3 DAY")):
        await db.command(
            f"CREATE TABLE {name} (event_date Date) ENGINE = MergeTree ORDER BY event_date {ttl}"
        )
    await db.command("CREATE TABLE my_log (at Date) ENGINE = MergeTree ORDER BY at")
    await db.command("CREATE TABLE query_logs (event_date Date) ENGINE = MergeTree ORDER BY event_date")
    assert await system_logs.limit(db, 0, db.database) == ([], [])
    assert await system_logs.limit(db, 14, db.database) == ([f"{db.database}.query_log"], [])
    assert await system_logs.limit(db, 14, db.database) == ([], [])
    rows = await db.query(
        "SELECT name, extract(create_table_query, 'TTL (.*?) SETTINGS') AS ttl FROM system.tables"
        " WHERE database = {d:String} AND name LIKE '%q%log%' ORDER BY name",
        d=db.database,
    )
    assert [tuple(row.values()) for row in rows] == [
        ("query_log", "event_date + toIntervalDay(14)"),
        ("query_logs", ""),
    ]


def test_days_are_said_by_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTERLOOP_RETENTION_BY_AGENT", "helpdesk=30,a=b=0")
    assert load(IngestSettings).days_by_agent() == {"helpdesk": 30, "a=b": 0}
    for wrong in ("helpdesk", "=3", "a=soon", "a=-1", "a=99999"):
        monkeypatch.setenv("OUTERLOOP_RETENTION_BY_AGENT", wrong)
        with pytest.raises(UserError, match=r"OUTERLOOP_RETENTION_BY_AGENT: .*must be AGENT=DAYS"):
            load(IngestSettings)
