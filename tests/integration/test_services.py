"""Ingest, triage and draft over a real broker and a real ClickHouse engine, on hand-made traces.

Each test has an agent and trace numbers of its own; the three services are started once.
"""

import asyncio
import gzip
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import REGISTRY

import samples
from engines.collector import Collector, collector
from engines.server import free_port
from outerloop.cli import kafka
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    EvalAccepted,
    EvalDrafted,
    EvalReviewed,
    EvalUndraftable,
)
from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.draft import app as draft
from outerloop.ingest import app as ingest
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS, dead_letter_topic, topic_of, topics
from outerloop.runtime.tracecontext import root_of
from outerloop.store import evals, modes
from outerloop.store.evals import EvalRecord
from outerloop.store.migrate import migrate
from outerloop.triage import app as triage

pytestmark = pytest.mark.asyncio(loop_scope="module")

T = TypeVar("T")
M = TypeVar("M", bound=Message)
SETTLE = 0.5
LOOKED, CANCELLED = samples.Call("get_order", {"id": "A-1"}), samples.Call("cancel", {"id": "A-1"})
FAILED = samples.Call("get_order", {"id": "1"}, "invalid order id '1'", failed=True)
ASKED = "Please cancel my order"
_numbers = itertools.count(1000)
_THROUGH = """
SELECT trace_id, max(through) FROM settlements WHERE trace_id IN {i:Array(String)}
GROUP BY trace_id ORDER BY trace_id
"""


@dataclass(frozen=True)
class Loop:
    """The running services, and what a test asks of them."""

    settings: Settings
    bus: Bus
    db: ClickHouse
    otlp: str

    async def send(self, exported: Message | bytes, topic: str = OTLP_SPANS) -> None:
        value = exported if isinstance(exported, bytes) else exported.SerializeToString()
        await self.bus.send(topic, value, None, {})

    async def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await self.db.query(sql, **parameters)]

    async def verdicts(self, agent: str) -> dict[str, bool]:
        """Trace id -> failed."""
        sql = "SELECT trace_id, failed FROM verdicts FINAL WHERE agent = {agent:String}"
        return dict(await self.rows(sql, agent=agent))

    async def modes(self, agent: str) -> list[tuple[Any, ...]]:
        sql = "SELECT state, failures, title FROM failure_modes WHERE agent = {agent:String} ORDER BY title"
        return await self.rows(sql, agent=agent)

    async def events(self, kind: type[M]) -> list[M]:
        found = await kafka.records(self.settings, topic_of(kind).name)
        return [kind.FromString(record.value) for record in found]

    async def letters(self, topic: str, group: str) -> list[Any]:
        return await kafka.records(self.settings, dead_letter_topic(topic, group))


async def eventually(ask: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
    async with asyncio.timeout(seconds):
        while not (answer := await ask()):  # noqa: ASYNC110 - it happens in services, broker and engine
            await asyncio.sleep(0.05)
    return answer


def numbers(count: int) -> list[int]:
    return list(itertools.islice(_numbers, count))


def agent_name() -> str:
    return f"agent-{uuid.uuid4().hex[:8]}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spans() -> AsyncIterator[Collector]:
    async with collector() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loop(tansu: str, chdb: str, spans: Collector) -> AsyncIterator[Loop]:
    port = free_port()
    where: dict[str, Any] = {
        "kafka": tansu,
        "kafka_idempotent_producer": False,
        "kafka_session_timeout_ms": 6000,
        "clickhouse": chdb,
        "clickhouse_database": f"services_{uuid.uuid4().hex[:8]}",
        "retries": 1,
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url,
    }
    settings = Settings(**where)
    await migrate(settings)
    consumed = {"ingest": ingest.CONSUMES, "triage": triage.CONSUMES, "draft": draft.CONSUMES}
    letters = [dead_letter_topic(topic, name) for name, names in consumed.items() for topic in names]
    await kafka.create_topics(settings, dict.fromkeys([*topics(), *letters], 1), 1)
    quick: dict[str, Any] = {
        "settle_seconds": SETTLE,
        "settle_rootless_seconds": 2 * SETTLE,
        "otlp_http_port": port,
        "otlp_grpc_port": 0,
    }
    services: list[tuple[str, Any, Settings]] = [
        ("ingest", ingest, ingest.SETTINGS(**where, **quick)),
        ("triage", triage, triage.SETTINGS(**where)),
        ("draft", draft, draft.SETTINGS(**where)),
    ]
    db = ClickHouse(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(db.close)
        tasks: list[asyncio.Task[None]] = []
        for name, module, own in services:
            bus = Bus(own, name)
            background = module.wire(own, bus, db)
            await stack.enter_async_context(bus)
            tasks += [asyncio.create_task(start()) for start in background]
        yield Loop(settings, bus, db, f"http://127.0.0.1:{port}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def drafted(loop: Loop, agent: str) -> EvalRecord:
    (record,) = await eventually(lambda: evals.of_agent(loop.db, agent))
    return record


async def opened(loop: Loop, agent: str) -> list[int]:
    """Three healthy and three failing runs, with which a mode opens and is drafted for."""
    runs = numbers(6)
    for number in runs[:3]:
        await loop.send(samples.run(number, ASKED, LOOKED, CANCELLED, agent=agent))
    await eventually(lambda: _judged(loop, agent, 3))
    for number in runs[3:]:
        await loop.send(samples.run(number, ASKED, FAILED, agent=agent))
    return runs


async def _judged(loop: Loop, agent: str, count: int) -> bool:
    return len(await loop.verdicts(agent)) == count


async def test_failures_become_a_mode_at_the_threshold_and_the_mode_an_eval(loop: Loop) -> None:
    agent, (good, other, *bad) = agent_name(), numbers(5)
    for number in (good, other):
        await loop.send(samples.run(number, ASKED, LOOKED, CANCELLED, agent=agent))
    for number in bad[:2]:
        await loop.send(samples.run(number, ASKED, FAILED, agent=agent))
    await eventually(lambda: _judged(loop, agent, 4))
    assert await loop.verdicts(agent) == {
        samples.trace_id(number): number in bad for number in (good, other, *bad[:2])
    }

    async def counted() -> bool:  # which is after they are stored
        return (REGISTRY.get_sample_value("outerloop_verdict_seconds_count") or 0) >= 4

    await eventually(counted)
    title = "get_order fails: invalid order id …"
    await eventually(lambda: loop.modes(agent))
    assert await loop.modes(agent) == [("emerging", 2, title)]
    await loop.send(samples.run(bad[2], ASKED, FAILED, agent=agent))
    record = await drafted(loop, agent)

    async def is_drafting() -> bool:
        return await loop.modes(agent) == [("drafting", 3, title)]

    await eventually(is_drafting)
    (event,) = [e for e in await loop.events(ModeOpened) if e.agent == agent]
    assert list(event.trace_ids) == [samples.trace_id(number) for number in bad]
    (announced,) = [e for e in await loop.events(EvalDrafted) if e.agent == agent]
    assert (announced.eval_id, announced.content_sha256) == (record.eval_id, record.content_sha256)
    assert (announced.proof.failing_caught, announced.proof.failing) == (3, 3)
    assert (announced.proof.healthy_passed, announced.proof.healthy) == (2, 2)
    failures = [f for f in await loop.events(FailureDetected) if f.agent == agent]
    assert {f.trace_id for f in failures} == {samples.trace_id(number) for number in bad}
    assert [(c.tool, c.failed) for c in record.cassette.calls] == [("get_order", True)]


async def test_a_mode_without_healthy_runs_is_parked_with_its_reason(loop: Loop) -> None:
    agent = agent_name()
    for number in numbers(3):
        await loop.send(samples.run(number, ASKED, FAILED, agent=agent))
    sql = "SELECT state, detail FROM failure_modes WHERE agent = {agent:String} AND state = 'parked'"
    found = await eventually(lambda: loop.rows(sql, agent=agent))
    assert found == [("parked", "no healthy run to compare with")]
    (event,) = [e for e in await loop.events(EvalUndraftable) if e.agent == agent]
    assert event.reason == "no healthy run to compare with"


async def test_a_late_span_settles_its_trace_again(loop: Loop) -> None:
    agent, (number,) = agent_name(), numbers(1)
    run = samples.run(number, ASKED, LOOKED, FAILED, agent=agent)
    spans = run.resource_spans[0].scope_spans[0].spans
    late = samples.request(spans[2])
    del spans[2]
    await loop.send(run)
    trace_id = samples.trace_id(number)
    await eventually(lambda: loop.verdicts(agent))
    assert await loop.verdicts(agent) == {trace_id: False}
    await loop.send(late)

    async def failed() -> bool:
        return await loop.verdicts(agent) == {trace_id: True}

    await eventually(failed)
    settled = [e for e in await loop.events(TraceSettled) if e.trace_id == trace_id]
    assert [e.spans for e in settled] == [3, 4]
    assert len({e.revision for e in settled}) == 2


async def test_a_late_evaluation_makes_a_good_trace_a_failure(loop: Loop) -> None:
    agent, (number, other) = agent_name(), numbers(2)
    for each in (number, other):
        await loop.send(samples.run(each, ASKED, LOOKED, CANCELLED, agent=agent))
    await eventually(lambda: _judged(loop, agent, 2))
    await loop.send(samples.evaluation(number, "policy", "fail", said="too old"), OTLP_LOGS)
    await loop.send(samples.evaluation(other, "policy", "pass"), OTLP_LOGS)
    assert (await eventually(lambda: loop.modes(agent)))[0][1:] == (1, "policy says fail: too old")
    assert await loop.verdicts(agent) == {samples.trace_id(number): True, samples.trace_id(other): False}


async def test_feedback_that_comes_with_a_span_makes_its_trace_a_failure(loop: Loop) -> None:
    agent, (number,) = agent_name(), numbers(1)
    await loop.send(samples.run(number, ASKED, LOOKED, CANCELLED, agent=agent))
    await eventually(lambda: _judged(loop, agent, 1))
    late = samples.span(number, 9, "feedback")
    late.attributes.extend(samples.attributes(logfire__feedback__name="useful", useful="negative"))
    late.attributes.extend(samples.attributes(logfire__feedback__comment="so slow"))
    await loop.send(samples.request(late))
    assert (await eventually(lambda: loop.modes(agent)))[0][1:] == (1, "useful says negative: so slow")
    sql = "SELECT span_id, source, bad FROM evaluations FINAL WHERE trace_id = {id:String}"
    assert await loop.rows(sql, id=samples.trace_id(number)) == [(f"{1:016x}", "shop", True)]


async def test_poison_costs_only_itself(loop: Loop) -> None:
    agent, (before, after) = agent_name(), numbers(2)
    await loop.send(samples.run(before, "Hi", agent=agent))
    await loop.send(b"garbage")
    await loop.send(samples.run(after, "Hi", agent=agent))
    await eventually(lambda: _judged(loop, agent, 2))
    (letter,) = await eventually(lambda: loop.letters(OTLP_SPANS, "ingest"))
    assert letter.value == b"garbage"
    assert dict(letter.headers)["ol-dlq-error-type"] == b"PoisonError"


def refused() -> list[float]:
    """Spans without an id, and results without a trace's; other tests of this process count, too."""
    counts = ({"reason": reason} for reason in ("span_id", "result_trace_id"))
    return [REGISTRY.get_sample_value("outerloop_spans_refused_total", each) or 0 for each in counts]


async def test_an_invalid_span_costs_only_itself(loop: Loop) -> None:
    agent, (number, late) = agent_name(), numbers(2)
    run = samples.run(number, ASKED, LOOKED, CANCELLED, agent=agent)
    spans = run.resource_spans[0].scope_spans[0].spans
    spans[1].span_id = b""
    for exported in (samples.run(late, "Hi", agent=agent), run):
        spans.add().CopyFrom(exported.resource_spans[0].scope_spans[0].spans[0])
    spans[-1].start_time_unix_nano = 2**63
    results = samples.evaluation(number, "quality", "pass")
    records = results.resource_logs[0].scope_logs[0].log_records
    records.add().CopyFrom(records[0])
    records[0].trace_id = b""
    there = {topic: len(await loop.letters(topic, "ingest")) for topic in (OTLP_SPANS, OTLP_LOGS)}
    before = refused()
    await loop.send(run)
    await loop.send(results, OTLP_LOGS)
    await eventually(lambda: _judged(loop, agent, 2))
    assert set(await loop.verdicts(agent)) == {samples.trace_id(number), samples.trace_id(late)}
    sql = "SELECT count() FROM evaluations FINAL WHERE trace_id = {id:String}"
    assert await loop.rows(sql, id=samples.trace_id(number)) == [(1,)]
    # What is left out is a letter of its own; the record is none.
    assert [len(await loop.letters(topic, "ingest")) - n for topic, n in there.items()] == [1, 1]
    (letter,) = (await loop.letters(OTLP_SPANS, "ingest"))[there[OTLP_SPANS] :]
    assert dict(letter.headers)["ol-dlq-error"].decode().startswith("2 left out of otlp_spans[0]@")
    assert [now - n for now, n in zip(refused(), before, strict=True)] == [1, 1]


async def test_a_settlement_of_a_trace_that_is_gone_holds_nothing_up(loop: Loop) -> None:
    agent, (gone, number) = agent_name(), numbers(2)
    headers = {"ce_time": (datetime.now(UTC) - timedelta(days=3)).isoformat()}
    topic = topic_of(TraceSettled).name
    value = TraceSettled(trace_id=samples.trace_id(gone)).SerializeToString()
    await loop.bus.send(topic, value, samples.trace_id(gone).encode(), headers)
    await loop.send(samples.run(number, ASKED, LOOKED, CANCELLED, agent=agent))
    await eventually(lambda: _judged(loop, agent, 1))
    assert await loop.letters(topic, "triage") == []


async def test_a_settlement_that_came_before_its_trace_waits_for_it(loop: Loop) -> None:
    agent, (number,) = agent_name(), numbers(1)
    value = TraceSettled(trace_id=samples.trace_id(number)).SerializeToString()
    topic = topic_of(TraceSettled).name
    headers = {"ce_time": datetime.now(UTC).isoformat()}
    await loop.bus.send(topic, value, samples.trace_id(number).encode(), headers)
    await asyncio.sleep(1)
    await loop.send(samples.run(number, ASKED, LOOKED, CANCELLED, agent=agent))
    await eventually(lambda: _judged(loop, agent, 1))
    assert await loop.letters(topic, "triage") == []


async def test_a_decision_that_is_taken_before_its_change_closes_the_mode(loop: Loop) -> None:
    agent, now = agent_name(), datetime.now(UTC)
    mode_id = f"mode-of-{agent}"
    await modes.insert(loop.db, modes.Mode(mode_id, agent, "t", "f", "k", now))
    shipped = DecisionReached(agent=agent, mode_id=mode_id, verdict=VERDICT_SHIP)
    shipped.decided_at.FromDatetime(now + timedelta(minutes=5))
    proposed = ChangeProposed(agent=agent, mode_id=mode_id)
    proposed.proposed_at.FromDatetime(now)
    await loop.bus.publish(shipped, because=(mode_id, "shipped"))
    await eventually(lambda: loop.modes(agent))

    async def steps() -> bool:
        sql = "SELECT state FROM mode_states WHERE mode_id = {m:String}"
        return {state for (state,) in await loop.rows(sql, m=mode_id)} == {"closed", "proposed"}

    await loop.bus.publish(proposed, because=(mode_id, "proposed"))
    await eventually(steps)
    assert [state for state, *_ in await loop.modes(agent)] == ["closed"]


async def test_a_review_makes_an_eval_binding_only_as_it_was_seen(loop: Loop) -> None:
    agent = agent_name()
    await opened(loop, agent)
    record = await drafted(loop, agent)
    seen = EvalReviewed(
        eval_id=record.eval_id,
        agent=agent,
        review=REVIEW_ACCEPT,
        reviewer="ada",
        content_sha256=record.content_sha256,
    )
    seen.reviewed_at.GetCurrentTime()
    other = EvalReviewed()
    other.CopyFrom(seen)
    other.content_sha256 = "0" * 64
    await loop.bus.publish(other, because=(agent, "other"))
    topic = topic_of(EvalReviewed).name
    (letter,) = await eventually(lambda: loop.letters(topic, "draft"))
    assert EvalReviewed.FromString(letter.value) == other
    assert (await drafted(loop, agent)).state is evals.State.DRAFTED
    for _ in range(2):
        await loop.bus.publish(seen, because=(agent, "seen"))

    async def accepted() -> list[EvalAccepted]:
        return [e for e in await loop.events(EvalAccepted) if e.agent == agent]

    event = (await eventually(accepted))[0]
    assert (event.eval_id, event.content_sha256) == (record.eval_id, record.content_sha256)
    assert (event.accepted_by, event.accepted_at) == ("ada", seen.reviewed_at)
    bound = await drafted(loop, agent)
    assert (bound.state, bound.reviewer) == (evals.State.ACCEPTED, "ada")
    assert bound.eval.provenance.accepted_by == "ada"
    assert bound.content_sha256 == record.content_sha256


async def test_what_is_done_about_a_mode_is_one_trace(loop: Loop, spans: Collector) -> None:
    agent = agent_name()
    await opened(loop, agent)
    record = await drafted(loop, agent)
    root = root_of(record.mode_id)

    async def sent() -> dict[str, Span]:
        found = {span.name: span for _, span in spans.spans if span.trace_id.hex() == root.trace_id}
        wanted = {"send outerloop.mode.opened.v1", "process outerloop.mode.opened.v1"}
        return found if {*wanted, "send outerloop.eval.drafted.v1"} <= found.keys() else {}

    by_name = await eventually(sent)  # each service exports on its own time
    opening, taken = by_name["send outerloop.mode.opened.v1"], by_name["process outerloop.mode.opened.v1"]
    assert (opening.span_id.hex(), opening.parent_span_id) == (root.span_id, b"")
    assert taken.parent_span_id == opening.span_id
    assert by_name["send outerloop.eval.drafted.v1"].parent_span_id == taken.span_id
    assert taken.kind == Span.SPAN_KIND_CONSUMER
    said = {a.key: a.value.string_value or a.value.int_value for a in opening.attributes}
    assert said["outerloop.mode.id"] == record.mode_id
    assert said["messaging.destination.name"] == topic_of(ModeOpened).name
    services = {service for service, span in spans.spans if span.trace_id.hex() == root.trace_id}
    assert services == {"outerloop-triage", "outerloop-draft"}
    # A span for every trace of production would cost more than it tells.
    assert not any("trace.settled" in span.name for _, span in spans.spans)


async def test_everything_twice_is_everything_once(loop: Loop) -> None:
    agent = agent_name()
    runs = await opened(loop, agent)
    await loop.send(samples.evaluation(runs[0], "policy", "pass"), OTLP_LOGS)
    await drafted(loop, agent)
    ids = [samples.trace_id(number) for number in runs]

    async def stored() -> list[Any]:
        return [
            await loop.rows(
                "SELECT count() FROM otel_traces FINAL WHERE TraceId IN {i:Array(String)}", i=ids
            ),
            await loop.rows(
                "SELECT count() FROM evaluations FINAL WHERE trace_id IN {i:Array(String)}", i=ids
            ),
            await loop.verdicts(agent),
            await loop.modes(agent),
            await evals.of_agent(loop.db, agent),
            [e for e in await loop.events(ModeOpened) if e.agent == agent],
        ]

    async def settled_with_result() -> bool:
        last = [e for e in await loop.events(TraceSettled) if e.trace_id == ids[0]]
        return len({e.revision for e in last}) == 2

    await eventually(settled_with_result)

    async def at_rest() -> bool:
        groups = {"ingest": ingest, "triage": triage, "draft": draft}
        waiting = [
            sum((await kafka.backlog(loop.settings, f"outerloop-{name}", app.CONSUMES)).values())
            for name, app in groups.items()
        ]
        return not any(waiting)

    await eventually(at_rest)
    before = await stored()
    records = await kafka.records(loop.settings, OTLP_SPANS)
    again = [r.value for r in records if agent.encode() in r.value]
    assert len(again) == 6
    announced = await loop.events(TraceSettled)
    through = await loop.rows(_THROUGH, i=ids)
    for value in again:
        await loop.send(value)
    await loop.send(samples.evaluation(runs[0], "policy", "pass"), OTLP_LOGS)

    async def settled_again() -> bool:
        now = await loop.rows(_THROUGH, i=ids)
        return all(later > earlier for (_, later), (_, earlier) in zip(now, through, strict=True))

    await eventually(settled_again)
    await eventually(at_rest)
    assert await stored() == before
    assert await loop.events(TraceSettled) == announced  # what is known as it is need not be judged again


@pytest.mark.parametrize("encoding", ["protobuf", "json", "gzip"])
async def test_otlp_over_http_is_stored(loop: Loop, encoding: str) -> None:
    agent, (number,) = agent_name(), numbers(1)
    body = samples.run(number, "Hi", agent=agent).SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    if encoding == "json":
        as_dict = json_format.MessageToJson(samples.run(number, "Hi", agent=agent))
        ids = {"AAAAAAAAAAE=": f"{1:016x}", "AAAAAAAAAAI=": f"{2:016x}"}
        for base64_id, hex_id in (ids | {_base64(number): samples.trace_id(number)}).items():
            as_dict = as_dict.replace(base64_id, hex_id)
        body, headers = as_dict.encode(), {"content-type": "application/json"}
    elif encoding == "gzip":
        body, headers = gzip.compress(body), headers | {"content-encoding": "gzip"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{loop.otlp}/v1/traces", data=body, headers=headers) as answer,
    ):
        assert answer.status == 200
        assert answer.content_type == headers["content-type"]
        assert await answer.read() == (b"{}" if encoding == "json" else b"")
    await eventually(lambda: _judged(loop, agent, 1))


def _base64(number: int) -> str:
    raw = json_format.MessageToDict(samples.request(samples.span(number, 0, "x")))
    return str(raw["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"])


async def test_an_evaluation_over_http_is_stored(loop: Loop) -> None:
    (number,) = numbers(1)
    body = samples.evaluation(number, "quality", "pass").SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{loop.otlp}/v1/logs", data=body, headers=headers) as answer,
    ):
        assert answer.status == 200
    sql = "SELECT name FROM evaluations WHERE trace_id = {id:String}"
    assert await eventually(lambda: loop.rows(sql, id=samples.trace_id(number))) == [("quality",)]
