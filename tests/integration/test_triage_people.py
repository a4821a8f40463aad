"""What people say and rule, over a real broker and engine: labels, reviews, merges, splits, reopenings."""

import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

import samples
from engines.triage_workers import Workers, workers
from outerloop.cli import kafka
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
    EvalReviewed,
    EvalUndraftable,
    Review,
)
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.contracts.v1.label_pb2 import QUALITY_BAD, QUALITY_GOOD, Quality, TraceLabelled
from outerloop.contracts.v1.mode_pb2 import (
    RULING_MERGE,
    RULING_MUTE,
    RULING_OPEN,
    RULING_SPLIT,
    RULING_UNMUTE,
    ModeEscalated,
    ModeRuled,
    Ruling,
)
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.runtime.topics import dead_letter_topic, topic_of
from outerloop.store import evals, evaluations, labels, modes, verdicts
from outerloop.trace.evaluation import evaluations_of
from outerloop.triage.court import Rulings
from outerloop.triage.lookout import Lookout
from outerloop.triage.openings import Openings

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC)
_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tansu: str, chdb: str) -> AsyncIterator[Workers]:
    async with workers(tansu, chdb, count=1, partitions=1) as running:
        yield running


@pytest.fixture
def agent() -> str:
    return f"agent-{uuid.uuid4().hex[:8]}"


async def fail(one: Workers, agent: str, *results: str) -> list[str]:
    """Runs whose only call gives these results, an error each; "" is a good run."""
    runs = [
        samples.run(
            next(_numbers), "Hi", samples.Call("get", {"n": 1}, said or "ok", failed=bool(said)), agent=agent
        )
        for said in results
    ]
    ids = await one.store(runs)
    await one.settle(ids)
    await one.at_rest()
    return ids


async def label(one: Workers, agent: str, trace_id: str, quality: Quality, *, why: str = "") -> None:
    message = TraceLabelled(trace_id=trace_id, agent=agent, quality=quality, labelled_by="ada", why=why)
    message.labelled_at.FromDatetime(datetime.now(UTC))
    await one.bus.publish(message, because=(trace_id, str(datetime.now(UTC))))
    await one.at_rest()


async def rule(one: Workers, mode_id: str, ruling: Ruling, times: int = 1, **more: Any) -> None:
    (agent,) = (await one.rows("SELECT agent FROM modes FINAL WHERE mode_id = {m:String}", m=mode_id))[0]
    message = ModeRuled(
        ruling_id=uuid.uuid4().hex,
        agent=agent,
        mode_id=mode_id,
        ruling=ruling,
        why="because",
        ruled_by="ada",
        **more,
    )
    message.ruled_at.FromDatetime(datetime.now(UTC))
    for _ in range(times):
        await one.bus.publish(message, because=(message.ruling_id,))
    await one.at_rest()


async def mode_of(one: Workers, trace_id: str) -> str:
    (row,) = await one.rows("SELECT mode_id FROM verdicts FINAL WHERE trace_id = {t:String}", t=trace_id)
    return str(row[0])


async def state(one: Workers, mode_id: str) -> tuple[Any, ...]:
    (row,) = await one.rows(
        "SELECT state, failures, detail FROM failure_modes WHERE mode_id = {m:String}", m=mode_id
    )
    return row


async def openings(one: Workers, mode_id: str) -> int:
    return sum(event.mode_id == mode_id for event in await one.records(ModeOpened))


async def test_a_persons_word_is_so_and_what_triage_had_said_is_kept(one: Workers, agent: str) -> None:
    bad, good = await fail(one, agent, "no such thing", "")
    await label(one, agent, bad, QUALITY_GOOD, why="that is what it should say")
    await label(one, agent, good, QUALITY_BAD, why="it was rude")
    found = await verdicts.of_traces(one.db, [bad, good])
    assert (found[bad].failed, found[bad].detected, found[bad].mode_id) == (False, True, "")
    assert (found[good].failed, found[good].detected) == (True, False)
    assert (await modes.get(one.db, found[good].mode_id)) is not None
    kept = await labels.of_traces(one.db, [bad, good])
    assert (kept[bad].good, kept[bad].detected, kept[bad].why) == (True, True, "that is what it should say")
    assert (kept[good].good, kept[good].detected) == (False, False)
    rows = await one.rows(
        "SELECT labels, called, right, missed, precision, recall FROM detector_precision"
        " WHERE agent = {a:String}",
        a=agent,
    )
    assert rows == [(2, 1, 0, 1, 0.0, 0.0)]


async def test_who_labels_again_takes_the_first_label_back(one: Workers, agent: str) -> None:
    (trace_id,) = await fail(one, agent, "")
    await label(one, agent, trace_id, QUALITY_BAD)
    await label(one, agent, trace_id, QUALITY_GOOD)
    assert [t.good for t in await labels.truths(one.db, agent)] == [True]
    assert not (await verdicts.of_traces(one.db, [trace_id]))[trace_id].failed


async def test_a_label_of_neither_kind_is_poison(one: Workers, agent: str) -> None:
    topic = topic_of(TraceLabelled).name
    await one.bus.publish(TraceLabelled(trace_id="1", agent=agent), because=(agent,))

    async def letters() -> list[Any]:
        return await kafka.records(one.settings, dead_letter_topic(topic, "triage"))

    assert len(await one.eventually(letters)) == 1


@pytest.mark.parametrize(
    ("review", "good", "shown"),
    [
        (REVIEW_ACCEPT, False, "emerging"),
        (REVIEW_NOT_A_FAILURE, True, "muted"),
        (REVIEW_REJECT, None, "emerging"),
    ],
    ids=["accepted", "not a failure", "rejected"],
)
async def test_a_review_speaks_of_the_failures_that_the_eval_was_drafted_from(
    one: Workers,
    agent: str,
    review: Review,
    good: bool | None,  # noqa: FBT001 - pytest gives it
    shown: str,
) -> None:
    failing, healthy = await fail(one, agent, "no such thing", "")
    mode_id = await mode_of(one, failing)
    eval_ = Eval(
        id=uuid.uuid4().hex,
        agent=agent,
        mode_id=mode_id,
        title="t",
        input={"messages": []},
        expect=(Answered(),),
        provenance=Provenance(drafted_by="d", drafted_at=NOW, source_traces=(failing, healthy)),
    )
    sha = content_sha256(eval_, Cassette(calls=()))
    record = evals.EvalRecord(
        eval_id=eval_.id,
        agent=agent,
        mode_id=mode_id,
        title="t",
        state=evals.State.DRAFTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl="",
        content_sha256=sha,
        reviewer="",
        at=NOW,
        failing_caught=1,
        failing=1,
        healthy_passed=1,
        healthy=1,
    )
    await evals.insert(one.db, record)
    message = EvalReviewed(eval_id=eval_.id, agent=agent, review=review, reviewer="bob", content_sha256=sha)
    message.reviewed_at.FromDatetime(NOW)
    for _ in range(2):
        await one.bus.publish(message, because=(eval_.id,))
    await one.at_rest()
    told = [(t.trace_id, t.good, t.source) for t in await labels.truths(one.db, agent)]
    assert told == ([] if good is None else [(failing, good, "review")])
    assert (await verdicts.of_traces(one.db, [failing]))[failing].failed is not bool(good)
    assert (await state(one, mode_id))[0] == shown


async def test_evaluators_teach_unless_people_find_them_wrong(one: Workers, agent: str) -> None:
    ids = await fail(one, agent, *[""] * 12)
    numbers = [int(trace_id, 16) for trace_id in ids]
    for number in numbers:
        for name, said in (("sound", "pass"), ("fickle", "fail")):
            await evaluations.insert(one.db, evaluations_of(samples.evaluation(number, name, said)), NOW)
    truths = await labels.truths(one.db, agent)
    assert {(t.good, t.source) for t in truths} == {(False, "evaluator")}
    for trace_id in ids[:10]:
        await label(one, agent, trace_id, QUALITY_GOOD)
    rows = await one.rows(
        "SELECT name, both, agreed, agreement FROM agreement WHERE agent = {a:String} ORDER BY name", a=agent
    )
    assert rows == [("fickle", 10, 0, 0.0), ("sound", 10, 10, 1.0)]
    truths = await labels.truths(one.db, agent)
    assert {(t.good, t.source) for t in truths} == {(True, "person"), (True, "evaluator")}


async def test_merged_modes_are_one_for_the_past_and_the_future(one: Workers, agent: str) -> None:
    first = await fail(one, agent, "not there", "not there")
    second = await fail(one, agent, "nowhere to be seen")
    stays, goes = await mode_of(one, first[0]), await mode_of(one, second[0])
    assert (await state(one, stays))[:2] == ("emerging", 2)
    await rule(one, goes, RULING_MERGE, times=2, into_mode_id=stays)
    assert await state(one, stays) == ("open", 3, "")
    assert await state(one, goes) == ("merged", 0, "into get fails: not there: because (ada)")
    (later,) = await fail(one, agent, "nowhere to be seen")
    assert await mode_of(one, later) == stays
    assert (await openings(one, stays), await openings(one, goes)) == (1, 0)
    counted = await one.rows(
        "SELECT mode_id, sum(failures) FROM mode_trends WHERE agent = {a:String} GROUP BY 1", a=agent
    )
    assert counted == [(stays, 4)]
    await rule(one, stays, RULING_MERGE, into_mode_id=goes)  # a circle, which is refused
    assert await mode_of(one, later) == stays
    letters = await kafka.records(one.settings, dead_letter_topic(topic_of(ModeRuled).name, "triage"))
    assert b"into itself" in dict(letters[-1].headers)["ol-dlq-error"]


async def test_a_split_takes_its_failures_away_for_good(one: Workers, agent: str) -> None:
    same = "the service said that it could not do what was asked of it today, because of "
    ids = await fail(one, agent, *[f"{same}{why}" for why in ("Snow", "rain", "snow", "rain", "snow")])
    mode_id = await mode_of(one, ids[0])
    assert (await state(one, mode_id))[:2] == ("open", 5)
    await rule(one, mode_id, RULING_SPLIT, times=2, containing="SNOW", title="closed for snow")
    new = await mode_of(one, ids[0])
    assert new != mode_id
    assert [await mode_of(one, i) for i in ids] == [new, mode_id, new, mode_id, new]
    assert (await state(one, new))[:2] == ("open", 3)
    (later,) = await fail(one, agent, f"{same}much snow")
    assert await mode_of(one, later) == new
    await one.settle(ids, revision="again")
    await one.at_rest()
    assert [await mode_of(one, i) for i in ids] == [new, mode_id, new, mode_id, new]
    assert await openings(one, new) == await openings(one, mode_id) == 1


async def test_what_moved_too_late_is_tidied_up(one: Workers, agent: str) -> None:
    first, second = await fail(one, agent, "not there", "nowhere to be seen")
    stays, goes = await mode_of(one, first), await mode_of(one, second)
    await rule(one, goes, RULING_MERGE, into_mode_id=stays)
    # A worker that had read the rulings before this one was made.
    stale = (await verdicts.of_traces(one.db, [second]))[second]
    at = datetime.now(UTC) + timedelta(seconds=1)
    await verdicts.insert(one.db, [type(stale)(**_fields(stale) | {"mode_id": goes, "judged_at": at})])
    assert await mode_of(one, second) == goes
    await Rulings(one.db, Openings(one.bus, one.db, 3)).tidy(agent)

    async def tidy() -> bool:
        return await mode_of(one, second) == stays

    await one.eventually(tidy)


async def test_a_muted_mode_waits_and_is_counted(one: Workers, agent: str) -> None:
    (first,) = await fail(one, agent, "not there")
    mode_id = await mode_of(one, first)
    await rule(one, mode_id, RULING_MUTE)
    await fail(one, agent, "not there", "not there")
    assert await state(one, mode_id) == ("muted", 3, "because (ada)")
    assert await openings(one, mode_id) == 0
    await rule(one, mode_id, RULING_UNMUTE)
    assert (await state(one, mode_id))[:2] == ("open", 3)
    assert await openings(one, mode_id) == 1


async def test_a_parked_mode_is_opened_again_by_a_person(one: Workers, agent: str) -> None:
    ids = await fail(one, agent, *["not there"] * 3)
    mode_id = await mode_of(one, ids[0])
    await one.bus.publish(
        EvalUndraftable(agent=agent, mode_id=mode_id, reason="no healthy run"), because=(mode_id,)
    )
    await one.at_rest()
    assert (await state(one, mode_id))[0] == "parked"
    await rule(one, mode_id, RULING_OPEN, times=2)
    assert await state(one, mode_id) == ("open", 3, "because (ada)")
    topic = topic_of(ModeOpened).name
    sent = [r for r in await kafka.records(one.settings, topic) if mode_id.encode() in r.value]
    assert len({dict(r.headers)["ce_id"] for r in sent}) == 2  # the first one, and the one by the ruling


async def test_a_closed_mode_comes_back_by_proof_and_not_by_a_trace(one: Workers, agent: str) -> None:
    ids = await fail(one, agent, *["not there"] * 3)
    mode_id = await mode_of(one, ids[0])
    await modes.enter(one.db, mode_id, modes.State.CLOSED, "shipped", at=datetime.now(UTC))
    await fail(one, agent, *["not there"] * 4)
    assert (await state(one, mode_id))[:2] == ("closed", 7)
    assert await openings(one, mode_id) == 1
    proven = EvalReopened(eval_id="e", agent=agent, mode_id=mode_id, reason="it is back: 9 of 40 traces")
    proven.reopened_at.FromDatetime(datetime.now(UTC))
    for _ in range(2):
        await one.bus.publish(proven, because=(mode_id,))
    await one.at_rest()
    assert await state(one, mode_id) == ("regressed", 7, "it is back: 9 of 40 traces")


async def test_a_rising_mode_escalates_once_a_day(one: Workers, agent: str) -> None:
    await fail(one, agent, "not there")
    (mode_id,) = (await one.rows("SELECT mode_id FROM modes FINAL WHERE agent = {a:String}", a=agent))[0]
    now = datetime.now(UTC)
    template = next(iter((await verdicts.of_traces(one.db, await _ids(one, agent))).values()))
    rows = []
    for n in range(600):
        minutes = 60 * 24 + 15 * n if n < 500 else (n - 500) * 10
        failed = n % 100 == 0 if n < 500 else n % 3 == 0
        at = now - timedelta(minutes=minutes + 1)
        fields = {"trace_id": uuid.uuid4().hex, "occurred_at": at, "failed": failed, "detected": failed}
        rows.append(type(template)(**_fields(template) | fields | {"mode_id": mode_id if failed else ""}))
    await verdicts.insert(one.db, rows)
    lookout = Lookout(one.bus, one.db, Rulings(one.db, Openings(one.bus, one.db, 3)))
    for _ in range(2):
        await lookout.visit(agent, now)
    (event,) = [e for e in await one.records(ModeEscalated) if e.agent == agent]
    assert (event.mode_id, event.hours) == (mode_id, 24)
    assert event.failures_now / event.traces_now > 10 * event.failures_before / event.traces_before
    (row,) = await one.rows(
        "SELECT escalated_at > '2000-01-01' FROM failure_modes WHERE mode_id = {m:String}", m=mode_id
    )
    assert row == (True,)


async def _ids(one: Workers, agent: str) -> list[str]:
    return [
        i for (i,) in await one.rows("SELECT trace_id FROM judged_traces WHERE agent = {a:String}", a=agent)
    ]


def _fields(verdict: verdicts.Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in verdict.__dataclass_fields__}
