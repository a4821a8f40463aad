"""A replay: stored traces are judged again, each counts once; what a detector has judged may be left out."""

import asyncio
import json
import time
import uuid
from typing import Any

import pytest
from typer.testing import CliRunner

import samples
from engines.triage_workers import Workers, workers
from outerloop.cli import app
from outerloop.contracts.v1.replay_pb2 import ReplayRequested
from outerloop.triage.core import signals

FAILED = samples.Call("get_order", {"id": "1"}, "invalid order id '1'", failed=True)


async def replay(here: Workers, agent: str, *more: str) -> Any:
    env = {
        "OUTERLOOP_KAFKA": here.settings.kafka,
        "OUTERLOOP_CLICKHOUSE": here.settings.clickhouse,
        "OUTERLOOP_CLICKHOUSE_DATABASE": here.settings.clickhouse_database,
    }
    # Years in which nothing was: they are not looked through a few hours at a time.
    arguments = ["replay", "--agent", agent, "--from", "1970-01-02", "--json", *more]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


async def counts(here: Workers, agent: str) -> list[Any]:
    """What analysts see: traces, failures, and modes with how many failed in each."""
    return [
        await here.rows(
            "SELECT count(), countIf(failed) FROM verdicts FINAL WHERE agent = {a:String}", a=agent
        ),
        await here.rows(
            "SELECT count(), countIf(failed) FROM judged_traces FINAL WHERE agent = {a:String}", a=agent
        ),
        await here.rows(
            "SELECT mode_id, failures FROM failure_modes WHERE agent = {a:String} ORDER BY 1", a=agent
        ),
    ]


async def test_what_is_replayed_is_judged_again_and_counts_once(tansu: str, chdb: str) -> None:
    agent, other = (f"agent-{uuid.uuid4().hex[:8]}" for _ in range(2))
    async with workers(tansu, chdb, count=2, partitions=4) as here:
        runs = [samples.run(n + 1, "Hi", FAILED, agent=agent) for n in range(4)]
        runs += [samples.run(n + 1, "Hi", agent=agent) for n in range(4, 60)]
        ids = await here.store(runs)
        await here.store([samples.run(61, "Hi", agent=other)])
        await here.settle(ids[:-1])
        await here.at_rest()
        before = await counts(here, agent)
        assert before[0] == [(59, 4)]

        assert await replay(here, agent) == {"agent": agent, "traces": 60, "requests": 2}
        await here.at_rest()
        after = await counts(here, agent)
        assert after[0] == after[1] == [(60, 4)]  # the one that was never settled is judged too
        assert after[2] == before[2]
        assert await here.rows("SELECT count() FROM verdicts WHERE agent = {a:String}", a=other) == [(0,)]

        asked = [r for r in await here.records(ReplayRequested) if r.agent == agent]
        assert sorted(i for r in asked for i in r.trace_ids) == sorted(ids)
        assert len({r.request_id for r in asked}) == 2

        by = await here.rows("SELECT DISTINCT detector FROM verdicts FINAL WHERE agent = {a:String}", a=agent)
        assert by == [(signals.DETECTOR,)]
        assert (await replay(here, agent, "--as-of", signals.DETECTOR))["traces"] == 0
        began = time.monotonic()
        assert (await replay(here, agent, "--per-second", "60"))["traces"] == 60
        assert time.monotonic() - began >= 1.0  # no faster than it is told to be
        assert (await replay(here, agent, "--as-of", "rules/next"))["traces"] == 60
        await here.at_rest()
        assert await counts(here, agent) == after


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "yesterday"), "expected a date or time"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "is not before --to"),
    ],
)
def test_a_time_that_is_none_is_refused(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(app, ["replay", "--agent", "a", *arguments])
    assert says in str(result.exception)
