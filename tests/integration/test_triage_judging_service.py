"""Triage as it is wired, with a model set: workers judge beside their handlers, until somebody pauses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

import samples
from engines.triage_workers import Workers, workers
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.dev.messages_api import Dice, MessagesApi, Reply, serving
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.triage import app, lookout

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "claude-sonnet-5-5"
AGENTS = ("airline", "desk")


def answer(request: dict[str, Any], _dice: Dice) -> Reply:
    tool = request["tools"][0]["name"]
    said = {
        "verdict": {"verdict": "good", "reason": "All is well."},
        "describe": {"name": "get finds nothing", "description": "The tool get finds nothing."},
    }
    return {"content": [{"type": "tool_use", "name": tool, "input": said[tool]}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncIterator[MessagesApi]:
    async with serving(answer) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tansu: str, chdb: str, api: MessagesApi) -> AsyncIterator[Workers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookout, "LOOK_SECONDS", 1.0)
        asking = {"triage_model": MODEL, "ANTHROPIC_API_KEY": SecretStr("k"), "ANTHROPIC_BASE_URL": api.url}
        async with workers(
            tansu, chdb, count=2, partitions=2, looking=True, triage_usd_per_day=1000.0, **asking
        ) as running:
            yield running


async def settle(two: Workers, *numbers: int, result: str = "ok", agent: str) -> list[str]:
    call = samples.Call("get", {"n": 1}, result, failed=result != "ok")
    ids = await two.store([samples.run(number, "Hi", call, agent=agent) for number in numbers])
    await two.settle(ids)
    await two.at_rest()
    return ids


async def judged(two: Workers) -> set[str]:
    return {str(row[0]) for row in await two.rows("SELECT trace_id FROM judge_opinions")}


async def test_workers_judge_and_name_each_once_until_a_person_pauses(two: Workers, api: MessagesApi) -> None:
    ids: list[str] = []
    for place, agent in enumerate(AGENTS):
        ids += await settle(two, *range(10 * place + 1, 10 * place + 3), agent=agent)
    ids += await settle(two, 91, 92, 93, result="nothing", agent=AGENTS[0])

    async def all_judged() -> bool:
        return await judged(two) >= set(ids)

    async def named() -> list[Any]:
        return await two.rows("SELECT title FROM failure_modes WHERE title = 'get finds nothing'")

    async def all_billed() -> bool:  # the bill comes after what was paid for
        return not await two.rows("SELECT about FROM judge_calls FINAL WHERE outcome = 'asking'")

    await two.eventually(all_judged, seconds=60)
    await two.eventually(named, seconds=60)
    await two.eventually(all_billed, seconds=60)
    calls = await two.rows("SELECT about, outcome FROM judge_calls FINAL WHERE usd > 0")
    assert {outcome for _, outcome in calls} == {"answered"}
    assert len(calls) == len({about for about, _ in calls}) == len(ids) + 1
    assert api.stats()["by_status"] == {"200": len(calls)}
    pause = LoopPaused(agent="*", paused=True, by="ada", reason="a migration")
    await two.bus.publish(pause, because=("pause",))
    await asyncio.sleep(1)  # what had begun ends
    (more,) = await settle(two, 99, agent=AGENTS[1])
    await asyncio.sleep(3)
    assert more not in await judged(two)
    await two.bus.publish(LoopPaused(agent="*", by="ada"), because=("resume",))

    async def goes_on() -> bool:
        return more in await judged(two)

    assert await two.eventually(goes_on, seconds=60)


@pytest.mark.parametrize("given", [{}, {"triage_model": MODEL}, {"ANTHROPIC_API_KEY": SecretStr("k")}])
async def test_without_a_key_and_a_setting_nobody_is_asked(
    tansu: str, chdb: str, given: dict[str, Any]
) -> None:
    async def beside(**asked: Any) -> int:
        settings = app.SETTINGS(kafka=tansu, clickhouse=chdb, kafka_idempotent_producer=False, **asked)
        db = ClickHouse(settings)
        try:
            return len(app.wire(settings, Bus(settings, "triage"), db))
        finally:
            await db.close()

    both = {"triage_model": MODEL, "ANTHROPIC_API_KEY": SecretStr("k")}
    assert await beside(**given) == await beside(**both) - 1
