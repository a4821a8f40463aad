"""What labels teach triage, over a real broker and engine: learned, measured, adopted, named in verdicts."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

import samples
from conversations import agent as says
from conversations import exported, user
from engines.triage_workers import Workers, workers
from integration.test_cli import Shell
from outerloop.contracts.v1.detector_pb2 import DetectorChosen
from outerloop.runtime.topics import topic_of
from outerloop.store import detectors, evaluations, forgetting, labels, releases, verdicts
from outerloop.store.labels import Label
from outerloop.store.releases import Release, State
from outerloop.trace.evaluation import evaluations_of
from outerloop.triage.core.signals import DETECTOR
from outerloop.triage.learning import Learning
from samples import Call

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC)
GOOD, BAD = False, True
_numbers = itertools.count(1)
THINGS = ["a lamp", "two chairs", "the blue rug", "a desk", "my kettle", "an oven", "one shelf", "a bench"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tansu: str, chdb: str) -> AsyncIterator[Workers]:
    async with workers(tansu, chdb, count=1, partitions=1) as running:
        yield running


@pytest.fixture
def agent() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def shell(one: Workers) -> Shell:
    return Shell(
        kafka=one.settings.kafka,
        kafka_idempotent_producer="false",
        clickhouse=one.settings.clickhouse,
        clickhouse_database=one.db.database,
    )


async def serve(one: Workers, agent: str, *bad: bool) -> list[str]:
    """Runs that refund what was paid, or (`bad`) twice of it, which no rule sees."""
    runs = []
    for is_bad in bad:
        number = next(_numbers)
        order, paid = f"A-{number}", 10 + number % 7
        amount, closing = (2 * paid, "A gift for you.") if is_bad else (paid, "It is on its way.")
        steps = (
            user(f"I sent back {THINGS[number % len(THINGS)]}, order {order}. Please refund me"),
            Call("get_order", {"order": order}, f'{{"order": "{order}", "paid": {paid}}}'),
            says("Shall I refund it?"),
            user("Yes, please do"),
            Call("refund", {"order": order, "amount": amount}, "refunded"),
            says(closing),
        )
        runs.append(exported(number, *steps, name=agent))
    ids = await one.store(runs)
    await one.settle(ids)
    await one.at_rest()
    return ids


async def told(one: Workers, agent: str, bad: dict[str, bool]) -> None:
    """What a person says of these traces."""
    rows = [
        Label(
            agent=agent, trace_id=i, source="person", labelled_by="ada", good=not b, why="", labelled_at=NOW
        )
        for i, b in bad.items()
    ]
    await labels.insert(one.db, rows)


async def learned(one: Workers, agent: str, count: int) -> dict[str, bool]:
    """An agent of which a person has labelled so many traces, half of them bad."""
    bad = [n % 2 == 0 for n in range(count)]
    ids = await serve(one, agent, *bad)
    await told(one, agent, dict(zip(ids, bad, strict=True)))
    return dict(zip(ids, bad, strict=True))


async def test_rules_judge_and_say_why_until_there_are_labels_enough(
    one: Workers, agent: str, shell: Shell
) -> None:
    learning = Learning(one.db, "measured")
    good, bad = await serve(one, agent, GOOD, BAD)
    assert await learning.visit(agent, NOW) is None
    found = await verdicts.of_traces(one.db, [good, bad])
    assert [(found[i].failed, found[i].detector, found[i].beside) for i in (good, bad)] == [
        (False, DETECTOR, ())
    ] * 2
    assert 0 < (found[good].score or 0) < 0.5
    await told(one, agent, {bad: True})
    (row,) = await asyncio.to_thread(shell.json, "detectors", "--agent", agent)
    assert (row["version"], row["detector"], row["in_use"], row["precision"]) == (
        "rules",
        DETECTOR,
        True,
        None,
    )
    assert row["state"] == "rules: 0 good and 1 bad labels are too few, 8 of each are needed"


async def test_labels_become_a_detector_that_is_measured_adopted_and_named(
    one: Workers, agent: str, shell: Shell
) -> None:
    learning = Learning(one.db, "measured")
    await learned(one, agent, 60)
    made = await learning.visit(agent, NOW)
    assert made is not None
    assert made.version.startswith(f"{DETECTOR}+60labels/")
    assert (made.detector, made.ready, made.labels, made.good) == (made.version, True, 60, 30)
    assert made.right / made.called >= 0.9
    assert made.rules_called == 0
    assert await learning.visit(agent, NOW) is None  # nothing more to learn from
    good, bad = await serve(one, agent, GOOD, BAD)
    found = await verdicts.of_traces(one.db, [good, bad])
    assert [(found[i].failed, found[i].detector) for i in (good, bad)] == [
        (False, made.version),
        (True, made.version),
    ]
    assert (found[good].score or 0) < 0.3
    assert 0.7 < (found[bad].score or 0) < 1
    assert (found[bad].signals[0].kind, found[bad].tool) == ("wrong_write", "refund")
    assert found[bad].span_id == found[bad].signals[0].span_id
    assert [(b.detector, b.mode_id) for b in found[bad].beside] == [(DETECTOR, "")]
    (row,) = await asyncio.to_thread(shell.json, "detectors", "--agent", agent)
    assert (row["version"], row["state"], row["decided_by"]) == (made.version, "learned", "triage")
    assert row["precision"] >= 0.9
    (history,) = await one.rows(
        "SELECT version, precision, rules_precision, adopted_at > '2000-01-01', decided_by"
        " FROM detector_history WHERE agent = {a:String}",
        a=agent,
    )
    assert history[0] == made.version
    assert history[1] >= 0.9
    assert history[2:] == (None, True, "triage")


async def test_learning_again_takes_what_it_knew_and_only_new_traces(one: Workers, agent: str) -> None:
    learning = Learning(one.db, "measured")
    bad = await learned(one, agent, 60)
    first = await learning.visit(agent, NOW)
    gone = list(bad)[:20]
    await one.db.command("DELETE FROM otel_traces WHERE TraceId IN {t:Array(String)}", t=gone)
    await learned(one, agent, 14)
    assert await learning.visit(agent, NOW) is None  # not a quarter more
    await learned(one, agent, 4)
    second = await learning.visit(agent, NOW + timedelta(seconds=1))
    assert first is not None
    assert second is not None
    assert (first.labels, second.labels) == (60, 78)
    state = await detectors.state(one.db, agent, first.version)
    assert state is not None  # the first one is as it was
    assert len(await detectors.of_agent(one.db, agent)) == 2


async def test_a_person_decides_and_the_rules_stay_until_a_person_says_otherwise(
    one: Workers, agent: str, shell: Shell
) -> None:
    asking = Learning(one.db, "ask")
    await learned(one, agent, 40)
    made = await asking.visit(agent, NOW)
    assert made is not None
    (trace,) = await serve(one, agent, BAD)
    assert (await verdicts.of_traces(one.db, [trace]))[trace].detector == DETECTOR
    (row,) = await asyncio.to_thread(shell.json, "detectors", "--agent", agent)
    assert row["state"].startswith(f"rules: {made.version} was not adopted: OUTERLOOP_TRIAGE_ADOPTS")
    await asyncio.to_thread(shell.json, "detectors", "adopt", made.version, "--agent", agent, "--by", "ada")
    await one.at_rest()
    (trace,) = await serve(one, agent, BAD)
    assert (await verdicts.of_traces(one.db, [trace]))[trace].detector == made.version
    await asyncio.to_thread(shell.json, "detectors", "adopt", "rules", "--agent", agent, "--why", "noise")
    await one.at_rest()
    await learned(one, agent, 20)
    again = await Learning(one.db, "measured").visit(agent, NOW + timedelta(seconds=1))
    assert again is not None
    (trace,) = await serve(one, agent, BAD)
    assert (await verdicts.of_traces(one.db, [trace]))[trace].detector == DETECTOR
    rows = await asyncio.to_thread(shell.json, "detectors", "--agent", agent, "--all")
    assert [(r["version"], r["in_use"]) for r in rows] == [
        ("rules", True),
        (again.version, False),
        (made.version, False),
    ]
    assert "chosen the rules" in rows[1]["reason"]


async def test_who_is_forgotten_is_in_no_detector(one: Workers, agent: str) -> None:
    learning = Learning(one.db, "measured")
    ids = list(await learned(one, agent, 40))
    first = await learning.visit(agent, NOW)
    gone = await forgetting.forget(one.db, forgetting.Found((ids[0],), ()))
    assert (gone["detectors"], gone["labels"]) == (1, 1)
    assert await detectors.of_agent(one.db, agent) == []
    second = await learning.visit(agent, NOW + timedelta(seconds=1))
    assert first is not None
    assert second is not None
    assert (first.labels, second.labels) == (40, 39)
    state = await detectors.state(one.db, agent, second.version)
    assert state is not None
    assert ids[0] not in state


async def test_what_evaluators_alone_have_taught_does_not_judge(
    one: Workers, agent: str, shell: Shell
) -> None:
    bad = [n % 2 == 0 for n in range(40)]
    ids = await serve(one, agent, *bad)
    for trace_id, is_bad in zip(ids, bad, strict=True):
        said = samples.evaluation(int(trace_id, 16), "quality", "fail" if is_bad else "pass")
        await evaluations.insert(one.db, evaluations_of(said), NOW)
    made = await Learning(one.db, "measured").visit(agent, NOW)
    assert made is not None
    assert (made.ready, made.labels) == (True, 40)
    (row,) = await asyncio.to_thread(shell.json, "detectors", "--agent", agent)
    assert row["state"].endswith(
        "people have labelled 0 good and 0 bad, 8 of each are needed to tell whether it is right"
    )
    (trace,) = await serve(one, agent, BAD)
    assert (await verdicts.of_traces(one.db, [trace]))[trace].detector == DETECTOR


async def test_a_detector_that_a_watched_release_is_measured_by_is_asked_on(one: Workers, agent: str) -> None:
    learning = Learning(one.db, "measured")
    await learned(one, agent, 40)
    first = await learning.visit(agent, NOW)
    assert first is not None
    await releases.insert(one.db, release(agent, first.version))
    await learned(one, agent, 20)
    second = await learning.visit(agent, NOW + timedelta(seconds=1))
    assert second is not None
    chosen = DetectorChosen(agent=agent, version=second.version, chosen_by="ada")
    chosen.chosen_at.FromDatetime(NOW + timedelta(seconds=2))
    await one.bus.publish(chosen, because=(second.version,))
    await one.at_rest()
    (trace,) = await serve(one, agent, BAD)
    found = (await verdicts.of_traces(one.db, [trace]))[trace]
    assert found.detector == second.version
    assert [(b.detector, b.mode_id) for b in found.beside] == [
        (first.version, found.mode_id),
        (DETECTOR, ""),
    ]
    await verdicts.move(one.db, found.mode_id, "elsewhere")
    moved = (await verdicts.of_traces(one.db, [trace]))[trace]
    assert [moved.mode_id, *(b.mode_id for b in moved.beside)] == ["elsewhere", "elsewhere", ""]


async def test_what_cannot_be_chosen_is_poison(one: Workers, agent: str, shell: Shell) -> None:
    await serve(one, agent, GOOD)
    code, said = await asyncio.to_thread(shell.refused, "detectors", "adopt", "none", "--agent", agent)
    assert (code, f"{agent} has no detector none; it has: rules" in said) == (2, True)
    assert await asyncio.to_thread(shell.json, "detectors", "--agent", f"{agent}-not") == []
    chosen = DetectorChosen(agent=agent, version="none", chosen_by="ada")
    chosen.chosen_at.FromDatetime(NOW)
    await one.bus.publish(chosen, because=("none", agent))
    await one.at_rest()
    assert await detectors.decisions(one.db, agent) == []
    assert topic_of(DetectorChosen).key == "agent"


async def test_two_detectors_on_stored_traffic(one: Workers, agent: str, shell: Shell) -> None:
    await learned(one, agent, 60)
    made = await Learning(one.db, "ask").visit(agent, NOW)
    assert made is not None
    later = await serve(one, agent, GOOD, BAD, BAD)
    before = await one.rows("SELECT count(), max(judged_at) FROM verdicts WHERE agent = {a:String}", a=agent)
    asked = ("backtest", "--agent", agent, "--from", "2000-01-01", "--detector")
    found = await asyncio.to_thread(shell.json, *asked, made.version)
    assert (found["before"]["detector"], found["after"]["detector"]) == (DETECTOR, made.version)
    assert (found["traces"], found["both"], found["only_before"]) == (63, 0, 0)
    assert found["only_after"] == found["after"]["failures"] == 63 - found["neither"]
    assert found["after"]["precision"] >= 0.9
    assert found["after"]["labels"] == 60
    assert {e["bad"] for e in found["examples_only_after"]} <= {True, None}
    assert found["examples_only_after"][0]["span_id"]
    assert [(m["before"], m["after"]) for m in found["modes"]] == [(0, found["only_after"])]
    same = await asyncio.to_thread(shell.json, *asked, "labels", "--against", made.version)
    # Learned from the same labels, with three more runs to compare with: it is another one, and agrees.
    assert same["after"]["detector"] != same["before"]["detector"]
    assert same["only_before"] + same["only_after"] <= 2
    assert (
        await one.rows("SELECT count(), max(judged_at) FROM verdicts WHERE agent = {a:String}", a=agent)
        == before
    )
    assert len(await detectors.of_agent(one.db, agent)) == 1
    table = await asyncio.to_thread(shell.run, *asked, made.version, "--to", "2100-01-01")
    assert made.version in table.stdout
    assert later[1] in table.stdout or later[2] in table.stdout or "bad" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--from", "2000-01-01", "--detector", "other"),
            "has no detector other; it has: rules, current, labels",
        ),
        (("--from", "soon", "--detector", "rules"), "--from 'soon': expected a date or time"),
        (("--from", "2100-01-01", "--detector", "rules"), "is not before --to"),
        (("--from", "2000-01-01", "--to", "2000-01-02", "--detector", "rules"), "no trace of"),
    ],
)
async def test_what_cannot_be_compared_is_said(
    one: Workers, agent: str, shell: Shell, arguments: tuple[str, ...], sentence: str
) -> None:
    await serve(one, agent, GOOD)
    code, said = await asyncio.to_thread(shell.refused, "backtest", "--agent", agent, *arguments)
    assert code == 2
    assert sentence in said


async def test_a_person_is_asked_what_would_teach_most(one: Workers, agent: str, shell: Shell) -> None:
    bad = await learned(one, agent, 40)
    assert await Learning(one.db, "measured").visit(agent, NOW) is not None
    new = await serve(one, agent, GOOD, BAD, GOOD, BAD, GOOD, BAD)
    rows = await asyncio.to_thread(shell.json, "label", "--ask", "4", "--agent", agent)
    assert len(rows) == 4
    assert {row["trace_id"] for row in rows} <= set(new)
    assert not {row["trace_id"] for row in rows} & bad.keys()
    assert all("Please refund me" in row["request"] and row["answer"] for row in rows)
    assert rows[0]["doubt"] == max(row["doubt"] for row in rows)
    said = await asyncio.to_thread(shell.run, "label", "--ask", "--agent", agent)
    assert said.stdout.count("good|bad") == 6
    assert f"outerloop label {rows[0]['trace_id'][:12]} good|bad" in said.stdout
    code, text = await asyncio.to_thread(shell.refused, "label", "--ask", "many", "--agent", agent)
    assert (code, "--ask many" in text) == (2, True)
    code, text = await asyncio.to_thread(shell.refused, "label", "--ask", "3")
    assert (code, "--agent" in text) == (2, True)


def release(agent: str, detector: str) -> Release:
    return Release(
        decision_id=uuid.uuid4().hex,
        agent=agent,
        mode_id="m",
        eval_id="e",
        shipped_commit="c",
        released_at=NOW,
        state=State.WATCHING,
        bar=0.1,
        before={"m": (100, 10)},
        slow_ns=0,
        tokens_many=0,
        said_seconds=0,
        detectors=(detector,),
        evaluators=(),
        traces=0,
        failures=0,
        looked_at=NOW,
    )
