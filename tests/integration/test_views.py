"""What analysts' views say, on few traces that can be counted by hand; also when traces are judged again."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store import labels, modes, opinions, verdicts
from outerloop.store.labels import Label
from outerloop.store.migrate import migrate
from outerloop.store.modes import Mode
from outerloop.store.opinions import Description, Opinion
from outerloop.store.verdicts import Verdict
from outerloop.trace.signal import Signal

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SHOP, DESK = "shop", "'; DROP TABLE verdicts; --"


def verdict(number: int, *, agent: str = SHOP, mode: str = "", days: int = 0, version: str = "v1") -> Verdict:
    at = NOON + timedelta(days=days, seconds=number)
    sign = Signal("tool_error", "pay", "declined", "2")
    return Verdict(
        agent=agent,
        agent_version=version,
        trace_id=f"{agent[:1]}{number}",
        failed=bool(mode),
        mode_id=mode,
        span_id="2" if mode else "",
        signals=(sign,) if mode else (),
        detector="rules/1",
        occurred_at=at,
        judged_at=NOON,
        model="m" if number % 2 else "n",
        tool="pay" if mode else "",
        tools=("look", "pay") if mode else ("look",),
        spans=3,
        seconds=1.5,
        input_tokens=1000,
        output_tokens=10,
        usd=0.5 if number % 2 else 0.0,
        unpriced_tokens=0 if number % 2 else 1010,
    )


# Of shop: on the first day two of four fail, on the second one of four, another mode then; v2 since that day.
JUDGED = [
    *(verdict(n, mode="a" if n < 2 else "") for n in range(4)),
    *(verdict(n, mode="b" if n == 4 else "", days=1, version="v2") for n in range(4, 8)),
    verdict(0, agent=DESK, mode="c"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"views_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    one = ClickHouse(settings)
    for mode_id, agent in (("a", SHOP), ("b", SHOP), ("c", DESK)):
        await modes.insert(one, Mode(mode_id, agent, f"title {mode_id}", mode_id, "tool_error", NOON))
    # As it happens: some are judged twice, one of another day and agent at first, and with another end.
    await verdicts.insert(one, [replace(JUDGED[3], agent="unknown", mode_id="a", failed=True)])
    await verdicts.insert(
        one, [replace(v, occurred_at=v.occurred_at - timedelta(days=2)) for v in JUDGED[5:7]]
    )
    for times in range(1, 3):
        again = NOON + timedelta(minutes=times)
        await verdicts.insert(one, [replace(v, judged_at=again) for v in JUDGED])
    yield one
    await one.command(f"DROP DATABASE {settings.clickhouse_database}")
    await one.close()


async def rows(db: ClickHouse, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await db.query(sql, **parameters)]


async def test_agents_by_day_version_and_model(db: ClickHouse) -> None:
    found = await rows(
        db,
        "SELECT toString(day), agent_version, model, traces, failures, rate FROM agent_trends"
        " WHERE agent = {agent:String} ORDER BY ALL",
        agent=SHOP,
    )
    assert found == [
        ("2026-11-20", "v1", "m", 2, 1, 0.5),
        ("2026-11-20", "v1", "n", 2, 1, 0.5),
        ("2026-11-21", "v2", "m", 2, 0, 0.0),
        ("2026-11-21", "v2", "n", 2, 1, 0.5),
    ]
    assert await rows(db, "SELECT count() FROM agent_trends WHERE agent = 'unknown'") == [(0,)]


async def test_modes_by_day(db: ClickHouse) -> None:
    found = await rows(
        db, "SELECT toString(day), agent, title, failures, traces, share FROM mode_trends ORDER BY ALL"
    )
    assert found == [
        ("2026-11-20", DESK, "title c", 1, 1, 1.0),
        ("2026-11-20", SHOP, "title a", 2, 4, 0.5),
        ("2026-11-21", SHOP, "title b", 1, 4, 0.25),
    ]


async def test_tools(db: ClickHouse) -> None:
    found = await rows(
        db,
        "SELECT called, sum(traces), sum(failures), sum(failed_there) FROM tool_trends"
        " WHERE agent = {agent:String} GROUP BY called ORDER BY called",
        agent=SHOP,
    )
    assert found == [("look", 8, 3, 0), ("pay", 3, 3, 3)]


async def test_before_and_after_a_moment(db: ClickHouse) -> None:
    sql = (
        "SELECT mode_id, failures_before, traces_before, failures_after, traces_after,"
        " rate_before, rate_after"
        " FROM before_after(agent = {agent:String}, at = {at:String}, days = 7) ORDER BY mode_id"
    )
    assert await rows(db, sql, agent=SHOP, at="2026-11-21 00:00:00") == [
        ("", 2, 4, 1, 4, 0.5, 0.25),
        ("a", 2, 4, 0, 4, 0.5, 0.0),
        ("b", 0, 4, 1, 4, 0.0, 0.25),
    ]
    assert [row[:3] for row in await rows(db, sql, agent=DESK, at="2026-11-21 00:00:00")] == [
        ("", 1, 1),
        ("c", 1, 1),
    ]


async def test_costs(db: ClickHouse) -> None:
    found = await rows(
        db,
        "SELECT title, sum(traces), sum(usd), sum(input_tokens), sum(output_tokens), sum(unpriced_tokens)"
        " FROM failure_costs WHERE agent = {agent:String} GROUP BY title ORDER BY title",
        agent=SHOP,
    )
    assert found == [
        ("", 5, 1.5, 5000, 50, 2020),
        ("title a", 2, 0.5, 2000, 20, 1010),
        ("title b", 1, 0.0, 1000, 10, 1010),
    ]


async def test_a_mode_tells_whom_it_affects(db: ClickHouse) -> None:
    (row,) = await db.query("SELECT * FROM failure_modes WHERE mode_id = 'a'")
    assert (row["failures"], row["share"], row["severity"]) == (2, 0.25, "high")
    assert (list(row["versions"]), list(row["models"])) == (["v1"], ["m", "n"])
    assert (list(row["examples"]), list(row["example_spans"])) == (["s0", "s1"], ["2", "2"])
    assert (row["first_seen"], row["last_seen"]) == (NOON, NOON + timedelta(seconds=1))
    assert row["description"] == "title a: 2 of the traces of shop, the last on 2026-11-20."
    named = Description(
        agent=SHOP, mode_id="a", name="a name", description="It is so.", model="m", usd=0.1, at=NOON
    )
    await opinions.describe(db, named)
    (row,) = await db.query("SELECT title, description FROM failure_modes WHERE mode_id = 'a'")
    assert tuple(row.values()) == ("a name", "It is so.")


@pytest.mark.parametrize(
    ("gravity", "rare"), [("critical", "critical"), ("high", "medium"), ("medium", "low"), ("low", "low")]
)
async def test_a_rare_mode_is_a_step_less_grave_than_its_kind(
    db: ClickHouse, gravity: str, rare: str
) -> None:
    mode_id = f"rare-{gravity}"
    told = Mode(mode_id, "nobody", "title", mode_id, "k", NOON, description="It is so.", gravity=gravity)
    await modes.insert(db, told)
    (row,) = await db.query(
        "SELECT severity, description, unusual FROM failure_modes WHERE mode_id = {m:String}",
        m=mode_id,
    )
    assert (row["severity"], row["description"], row["unusual"]) == (rare, "It is so.", 0)


async def test_precision_is_measured_by_what_was_said_before_the_label(db: ClickHouse) -> None:
    told = [("s0", True, False), ("s1", True, True), ("s2", False, False), ("s3", False, True)]
    await labels.insert(
        db,
        [
            Label(
                agent=SHOP,
                trace_id=trace_id,
                source="person",
                labelled_by="ada",
                good=good,
                why="",
                labelled_at=NOON,
                detector="rules/1",
                detected=detected,
            )
            for trace_id, detected, good in told
        ],
    )
    sql = (
        "SELECT toString(week), detector, labels, called, right, missed, precision, recall"
        " FROM detector_precision"
    )
    assert await rows(db, sql) == [("2026-11-16", "rules/1", 4, 2, 1, 1, 0.5, 0.5)]


async def test_a_judge_is_measured_by_people(db: ClickHouse) -> None:
    for trace_id, said in (("s0", "bad"), ("s1", "bad"), ("s2", ""), ("s9", "bad")):
        opinion = Opinion(
            agent=SHOP,
            trace_id=trace_id,
            said=said,
            cause="c",
            reason="r",
            span_id="",
            model="judge-1",
            prompt="p",
            input_tokens=1,
            output_tokens=1,
            usd=0.25,
            at=NOON,
        )
        await opinions.insert(db, opinion)
    sql = "SELECT name, both, agreed, said_bad, rightly_bad, agreement FROM agreement WHERE source = 'judge'"
    assert await rows(db, sql) == [("judge-1", 2, 1, 2, 1, 0.5)]
