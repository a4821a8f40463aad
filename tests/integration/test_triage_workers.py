"""Many workers, any order, everything twice: the same failures are the same modes, each opened once."""

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from engines.triage_workers import Workers, workers
from outerloop.cli import kafka
from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened
from outerloop.runtime.topics import dead_letter_topic
from outerloop.triage import app

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENTS = ("airline", "retail", "desk")
CAUSES = ("no such order", "not allowed", "service is away", "card was declined")
EACH = 6
COUNT, PARTITIONS = 3, 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many(tansu: str, chdb: str) -> AsyncIterator[Workers]:
    async with workers(tansu, chdb, count=COUNT, partitions=PARTITIONS, triage_batch=7) as running:
        yield running


def runs(shuffled: random.Random) -> list[ExportTraceServiceRequest]:
    made = []
    for number, (agent, cause, _) in enumerate(
        (agent, cause, n) for agent in AGENTS for cause in (*CAUSES, "") for n in range(EACH)
    ):
        result = f"{cause}: A-{number}" if cause else "ok"
        call = samples.Call("get_order", {"id": number}, result, failed=bool(cause))
        made.append(samples.run(number + 1, f"Where is my order {number}?", call, agent=agent))
    shuffled.shuffle(made)
    return made


async def shown(many: Workers) -> list[tuple[object, ...]]:
    """What there is of verdicts and modes, without the time of judging."""
    return [
        *await many.rows(
            "SELECT trace_id, agent, failed, mode_id, span_id FROM verdicts FINAL ORDER BY trace_id"
        ),
        *await many.rows("SELECT mode_id, agent, fingerprint FROM modes FINAL ORDER BY mode_id"),
        *await many.rows(
            "SELECT agent, day, mode_id, count() FROM judged_traces FINAL GROUP BY ALL ORDER BY ALL"
        ),
        *await many.rows("SELECT mode_id, state, cause FROM mode_states ORDER BY ALL"),
    ]


async def test_the_same_failures_are_the_same_modes_whoever_judges_them_and_when(many: Workers) -> None:
    shuffled = random.Random(7)  # noqa: S311 - an order that can be had again
    ids = await many.store(runs(shuffled))
    twice = [*ids, *ids]
    shuffled.shuffle(twice)
    await many.settle(twice)
    await many.at_rest()
    modes = await many.rows("SELECT agent, fingerprint FROM modes FINAL")
    assert len(modes) == len(set(modes)) == len(AGENTS) * len(CAUSES)
    found = await many.rows("SELECT mode_id, count() FROM verdicts FINAL WHERE failed GROUP BY mode_id")
    assert [count for _, count in found] == [EACH] * len(modes)
    first = await shown(many)
    opened = Counter(event.mode_id for event in await many.records(ModeOpened))
    assert opened == dict.fromkeys((mode_id for mode_id, _ in found), 1)
    # All of it once more, in yet another order, as a replay or a redelivery would bring it.
    shuffled.shuffle(ids)
    await many.settle(ids, revision="2")
    await many.at_rest()
    assert await shown(many) == first
    assert Counter(event.mode_id for event in await many.records(ModeOpened)) == opened
    events = await many.records(FailureDetected)
    assert len({event.failure_id for event in events}) == len(modes) * EACH
    for topic in app.CONSUMES:
        assert await kafka.records(many.settings, dead_letter_topic(topic, "triage")) == []


async def test_the_work_was_shared(many: Workers) -> None:
    """The test above would prove nothing if one worker had done it all."""
    consumers = [many.bus._subscribers[0].consumer]
    assert 0 < len(consumers[0].assignment()) < PARTITIONS * len(app.CONSUMES)
