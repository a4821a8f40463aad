"""Outliers against an agent's own baseline, over a real engine: they fail nothing, and make a mode graver."""

import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from engines.triage_workers import Workers, workers
from outerloop.store import escalations, verdicts
from outerloop.store.escalations import Escalation
from outerloop.triage.judges import Judges
from outerloop.triage.judging import Judging

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tansu: str, chdb: str) -> AsyncIterator[Workers]:
    async with workers(tansu, chdb, count=1, partitions=1) as running:
        yield running


@pytest.fixture
def agent() -> str:
    return f"agent-{uuid.uuid4().hex[:8]}"


def run(agent: str, *, failed: bool = False, slow: bool = False) -> ExportTraceServiceRequest:
    """A run whose tool fails, or takes a minute instead of some milliseconds."""
    call = samples.Call("get", {"n": 1}, "not there" if failed else "ok", failed=failed)
    made = samples.run(next(_numbers), "Hi", call, agent=agent)
    if slow:
        made.resource_spans[0].scope_spans[0].spans[1].end_time_unix_nano += 60 * samples.NS
    return made


async def judge(one: Workers, runs: list[ExportTraceServiceRequest]) -> list[str]:
    """Stored and judged, by a worker that has seen nothing yet."""
    ids = await one.store(runs)
    await Judging(one.bus, one.db, Judges(one.db, 0.8)).again(ids)
    await one.at_rest()
    return ids


async def test_who_is_slow_has_not_failed_and_is_told_of(one: Workers, agent: str) -> None:
    await judge(one, [run(agent) for _ in range(60)])
    quick, late = await judge(one, [run(agent), run(agent, slow=True)])
    assert [v.failed for v in (await verdicts.of_traces(one.db, [quick, late])).values()] == [False, False]
    rows = await one.rows(
        "SELECT trace_id, kind, subject, span_id, value > 60, usual < 0.1 FROM trace_outliers FINAL"
        " WHERE agent = {a:String}",
        a=agent,
    )
    assert rows == [(late, "latency_outlier", "get", f"{2:016x}", 1, 1)]
    # Judged again it is the same row; an agent of which little is known has no outliers.
    await Judging(one.bus, one.db, Judges(one.db, 0.8)).again([late])
    assert await one.rows("SELECT count() FROM trace_outliers FINAL WHERE agent = {a:String}", a=agent) == [
        (1,)
    ]
    await judge(one, [run(f"{agent}-new", slow=True), run(f"{agent}-new")])
    assert await one.rows(
        "SELECT count() FROM trace_outliers WHERE agent = {a:String}", a=f"{agent}-new"
    ) == [(0,)]


async def severity(one: Workers, agent: str) -> tuple[object, ...]:
    sql = "SELECT severity, unusual, rising, description FROM failure_modes WHERE agent = {a:String}"
    return (await one.rows(sql, a=agent))[0]


async def test_a_mode_is_as_grave_as_its_kind_its_share_and_its_failures(one: Workers, agent: str) -> None:
    await judge(one, [run(agent) for _ in range(60)])
    said = "The last call of get failed, and the agent did not recover from it."
    await judge(one, [run(agent, failed=True)])
    assert await severity(one, agent) == ("medium", 0, False, said)
    # Half of its failures are slow.
    await judge(one, [run(agent, failed=True, slow=True)])
    assert await severity(one, agent) == ("high", 1, False, said)


@pytest.mark.parametrize(("hours", "grave"), [(1, "high"), (30, "medium")])
async def test_a_rising_mode_is_graver_for_a_day(one: Workers, agent: str, hours: int, grave: str) -> None:
    await judge(one, [run(agent, failed=number == 0) for number in range(40)])
    ((mode_id,),) = await one.rows("SELECT mode_id FROM modes FINAL WHERE agent = {a:String}", a=agent)
    at = datetime.now(UTC) - timedelta(hours=hours)
    risen = Escalation(
        agent=agent,
        mode_id=str(mode_id),
        day=at.date(),
        hours=1,
        traces_before=1,
        failures_before=1,
        traces_now=1,
        failures_now=1,
        at=at,
    )
    await escalations.insert(one.db, risen)
    assert (await severity(one, agent))[0] == grave
