"""The tables on the real engine: what is written is read, and what replaces what."""

import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from clickhouse_connect.driver.exceptions import DatabaseError

import samples
from engines.embedded import Chdb
from engines.server import free_port
from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.evals.expect.answer import Answered
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette, Eval, Provenance
from outerloop.evals.suite import Entry
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.prices import known_prices
from outerloop.runtime.settings import Settings
from outerloop.store import (
    changes,
    decisions,
    drafting,
    evals,
    evaluations,
    heldout,
    modes,
    sessions,
    settlements,
    spans,
    trials,
    verdicts,
)
from outerloop.store.changes import ChangeRecord
from outerloop.store.drafting import DraftCall
from outerloop.store.evals import EvalRecord
from outerloop.store.migrate import migrate, migrations
from outerloop.store.modes import Mode
from outerloop.store.sessions import StepRecord, StepState
from outerloop.store.spending import spent_usd
from outerloop.store.trials import TrialRecord
from outerloop.store.verdicts import Verdict
from outerloop.trace.evaluation import evaluations_of
from outerloop.trace.otlp import spans_of
from outerloop.trace.signal import Signal
from rows import insert as insert_spans
from unit.test_contracts import EXAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC).replace(microsecond=123_000)
SIGN = Signal("tool_error", "get_order", "bad id '1' ü\n", "0000000000000002")


@pytest.fixture(scope="module")
def settings(chdb: str) -> Settings:
    return Settings(clickhouse=chdb, clickhouse_database=f"store_{uuid.uuid4().hex[:8]}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(settings: Settings) -> AsyncIterator[ClickHouse]:
    assert await migrate(settings) == [migration.name for migration in migrations()]
    one = ClickHouse(settings)
    yield one
    await one.command(f"DROP DATABASE {settings.clickhouse_database}")
    await one.close()


def unique() -> str:
    return uuid.uuid4().hex


def verdict(agent: str, trace_id: str, mode_id: str = "", *, minutes: int = 0, version: str = "1") -> Verdict:
    signals = (SIGN, replace(SIGN, kind="error_status")) if mode_id else ()
    at = NOW + timedelta(minutes=minutes)
    return Verdict(
        agent, version, trace_id, bool(mode_id), mode_id, "2" if mode_id else "", signals, "rules/1", at, NOW
    )


async def count(db: ClickHouse, table: str) -> int:
    (row,) = await db.query(f"SELECT count() AS n FROM {table} FINAL")  # noqa: S608 - a table of ours
    return int(row["n"])


async def test_migrating_again_changes_nothing(db: ClickHouse, settings: Settings) -> None:
    assert await migrate(settings) == []
    numbers = [m.name[:4] for m in migrations()]
    assert numbers == sorted(set(numbers))  # each number once: two files of one would have no order


async def test_a_trace_comes_back_as_it_was(db: ClickHouse) -> None:
    exported = samples.run(
        1, "Where is it? ü😀\x00'", samples.Call("get", {"id": 1}, failed=True), error="no"
    )
    sent = exported.resource_spans[0].scope_spans[0].spans[0]
    sent.start_time_unix_nano += 123_456_789
    sent.end_time_unix_nano += 987_654_321
    sent.events.add(time_unix_nano=samples.BEGAN + 1, name="e", attributes=samples.attributes(k="v"))
    sent.events.add(time_unix_nano=samples.BEGAN + 2, name="f")
    trace = samples.trace(exported)
    await insert_spans(db, trace.spans, NOW)
    found = await spans.traces(db, [trace.trace_id, "0" * 32])
    assert list(found) == [trace.trace_id]
    assert list(found[trace.trace_id].spans) == list(trace.spans)


async def test_a_span_that_comes_twice_is_one(db: ClickHouse) -> None:
    found = spans_of(samples.run(2, "Hi", samples.Call("get")))
    for _ in range(2):
        await insert_spans(db, found, NOW)
    trace_id = samples.trace_id(2)
    assert len((await spans.traces(db, [trace_id]))[trace_id].spans) == 3
    (summary,) = await settlements.summaries(db, [trace_id])
    assert (summary.spans, summary.agent, summary.agent_version) == (3, "helpdesk", "1.0.0")


async def test_evaluations_come_back_and_the_newer_replaces_the_older(db: ClickHouse) -> None:
    for label, stored in (("fail", NOW), ("pass", NOW + timedelta(seconds=1))):
        results = evaluations_of(samples.evaluation(3, "quality", label, score=0.5, said="ü"))
        await evaluations.insert(db, results, stored)
    scored = evaluations_of(samples.evaluation(3, "cost", score=0))
    await evaluations.insert(db, scored, NOW)
    trace_id = samples.trace_id(3)
    assert await evaluations.of_traces(db, [trace_id]) == {trace_id: [*scored, *results]}


async def unsettled(db: ClickHouse) -> dict[str, bool]:
    return await settlements.unsettled(db, NOW - timedelta(days=1), NOW + timedelta(days=1), 1000)


async def test_what_is_unsettled_is_found_by_when_it_was_stored(db: ClickHouse) -> None:
    minute = timedelta(minutes=1)
    early, late = NOW + timedelta(days=20), NOW + timedelta(days=20) + minute
    for number, at in ((61, early), (62, early), (63, late)):
        await insert_spans(db, spans_of(samples.run(number, "Hi")), at)
    names = {number: samples.trace_id(number) for number in (61, 62, 63)}
    assert await settlements.unsettled(db, early, early + minute, 10) == {names[61]: True, names[62]: True}
    assert len(await settlements.unsettled(db, early, early + minute, 1)) == 1
    assert await settlements.unsettled(db, late, late + minute, 10) == {names[63]: True}
    complete = await settlements.summaries(db, [names[61]])
    assert await settlements.known(db, complete) == set()
    await settlements.insert(db, complete)
    assert await settlements.known(db, complete) == {(names[61], complete[0].revision)}
    assert await settlements.unsettled(db, early, early + minute, 10) == {names[62]: True}


async def test_a_revision_changes_with_what_is_known(db: ClickHouse) -> None:
    trace_id = samples.trace_id(4)
    root, *late = spans_of(samples.run(4, "Hi", samples.Call("get")))

    async def settle(at: datetime) -> settlements.Summary:
        assert trace_id in await unsettled(db)
        (summary,) = await settlements.summaries(db, [trace_id])
        assert summary.through == at
        await settlements.insert(db, [summary])
        assert trace_id not in await unsettled(db)
        return summary

    times = [NOW + timedelta(seconds=n) for n in range(4)]
    await insert_spans(db, late, times[0])
    assert (await unsettled(db))[trace_id] is False
    await insert_spans(db, [root], times[0])
    assert (await unsettled(db))[trace_id] is True
    first = await settle(times[0])
    await insert_spans(db, [replace(root, span_id="f" * 16, parent_span_id=root.span_id)], times[1])
    second = await settle(times[1])
    await evaluations.insert(db, evaluations_of(samples.evaluation(4, "quality", "fail")), times[2])
    third = await settle(times[2])
    await evaluations.insert(db, evaluations_of(samples.evaluation(4, "quality", "pass")), times[3])
    fourth = await settle(times[3])
    assert len({s.revision for s in (first, second, third, fourth)}) == 4
    await insert_spans(db, [root], times[3])  # a redelivery adds nothing
    (again,) = await settlements.summaries(db, [trace_id])
    assert again.revision == fourth.revision


async def test_a_trace_of_which_only_a_result_is_stored_is_no_summary(db: ClickHouse) -> None:
    await evaluations.insert(db, evaluations_of(samples.evaluation(5, "quality", "fail")), NOW)
    assert await settlements.summaries(db, [samples.trace_id(5)]) == []
    assert (await unsettled(db))[samples.trace_id(5)] is False


async def test_verdicts_are_found_by_mode_and_agent(db: ClickHouse) -> None:
    agent, mode = unique(), unique()
    failing = [verdict(agent, f"f{n}", mode, minutes=n) for n in (2, 1, 3)]
    healthy = [verdict(agent, f"h{n}", minutes=n) for n in (1, 2)]
    await verdicts.insert(db, [*failing, *healthy])
    await verdicts.insert(db, [*failing, *healthy])
    assert await verdicts.counts(db, agent, [mode, unique()]) == {mode: 3}
    assert [trace_id for trace_id, _ in await verdicts.failing(db, mode, 2)] == ["f1", "f2"]
    assert (await verdicts.failing(db, mode, 1))[0][1] == failing[0].signals
    assert await verdicts.healthy(db, agent, 5) == ["h2", "h1"]
    later = NOW + timedelta(seconds=1)
    await verdicts.insert(db, [replace(verdict(agent, "f1"), judged_at=later)])
    assert await verdicts.counts(db, agent, [mode]) == {mode: 2}


async def test_a_mode_lives_through_its_states(db: ClickHouse) -> None:
    agent, mode_id = unique(), unique()
    mode = Mode(mode_id, agent, "get_order fails", "tool_error|get_order|", "tool_error", NOW)

    async def shown() -> tuple[str, str, int]:
        (row,) = await db.query("SELECT * FROM failure_modes WHERE mode_id = {m:String}", m=mode_id)
        return row["state"], row["detail"], row["failures"]

    await modes.insert(db, mode)
    await modes.insert(db, mode)
    assert await modes.get(db, mode_id) == mode
    assert await modes.get(db, "none") is None
    assert await modes.known(db, [mode_id, "none"]) == {mode_id}
    assert await modes.opened(db, [mode_id]) == set()
    assert await shown() == ("emerging", "", 0)
    await verdicts.insert(db, [verdict(agent, f"t{n}", mode_id, version=str(n)) for n in (1, 2)])
    times = [NOW + timedelta(seconds=n) for n in range(4)]
    await modes.enter(db, mode_id, modes.State.OPEN, "opened", at=times[0])
    assert await shown() == ("open", "", 2)
    await modes.enter(db, mode_id, modes.State.PARKED, "event-1", at=times[1], detail="no healthy run")
    assert await shown() == ("parked", "no healthy run", 2)
    await modes.enter(db, mode_id, modes.State.CLOSED, "event-2", at=times[2])
    assert await shown() == ("closed", "", 2)
    await modes.enter(db, mode_id, modes.State.PARKED, "event-1", at=times[3])  # sent again, later
    assert await shown() == ("closed", "", 2)
    assert await modes.opened(db, [mode_id]) == {mode_id}
    (row,) = await db.query("SELECT * FROM failure_modes WHERE mode_id = {m:String}", m=mode_id)
    assert (list(row["versions"]), sorted(row["examples"])) == (["1", "2"], ["t1", "t2"])


@pytest.mark.parametrize("order", list(itertools.permutations(["drafting", "proposed", "closed"])))
async def test_the_order_in_which_steps_are_recorded_does_not_matter(
    db: ClickHouse, order: tuple[str, ...]
) -> None:
    mode_id = unique()
    happened = {"drafting": NOW, "proposed": NOW + timedelta(seconds=1)}
    happened["closed"] = happened["proposed"]  # of two at once, what comes last in a life
    await modes.insert(db, Mode(mode_id, "a", "t", "f", "k", NOW))

    async def state() -> str:
        (row,) = await db.query("SELECT state FROM failure_modes WHERE mode_id = {m:String}", m=mode_id)
        return str(row["state"])

    for name in order:
        await modes.enter(db, mode_id, modes.State(name), name, at=happened[name])
    assert await state() == "closed"
    later = NOW + timedelta(seconds=2)
    await modes.enter(db, mode_id, modes.State.REGRESSED, "again", at=later)
    assert await state() == "regressed"


async def test_a_trace_that_changes_its_agent_is_counted_once(db: ClickHouse) -> None:
    trace_id, mode_id, agent = unique(), unique(), unique()
    await verdicts.insert(db, [verdict("unknown", trace_id, mode_id)])
    later = NOW + timedelta(seconds=1)
    await verdicts.insert(db, [replace(verdict(agent, trace_id, mode_id), judged_at=later)])
    rows = await db.query("SELECT agent FROM verdicts FINAL WHERE trace_id = {t:String}", t=trace_id)
    assert [row["agent"] for row in rows] == [agent]
    assert await verdicts.counts(db, agent, [mode_id]) == {mode_id: 1}


async def test_failure_rates_are_by_version(db: ClickHouse) -> None:
    agent = unique()
    judged = [verdict(agent, f"a{n}", "m" * (n < 3), version="1") for n in range(4)]
    await verdicts.insert(db, [*judged, verdict(agent, "b", version="2")])
    rows = await db.query(
        "SELECT agent_version, traces, failures, rate FROM failure_rates WHERE agent = {a:String}"
        " ORDER BY agent_version",
        a=agent,
    )
    assert [tuple(row.values()) for row in rows] == [("1", 4, 3, 0.75), ("2", 1, 0, 0.0)]


async def test_an_eval_moves_on_and_never_back(db: ClickHouse) -> None:
    agent, eval_id = unique(), unique()
    drafted = EvalRecord(
        eval_id=eval_id,
        agent=agent,
        mode_id="m",
        title="ü",
        state=evals.State.DRAFTED,
        eval_yaml="y",
        cassette_jsonl="c",
        content_sha256="s",
        failing_caught=1,
        failing=2,
        healthy_passed=3,
        healthy=4,
        reviewer="",
        at=NOW,
        mutants_killed=3,
        mutants=4,
        survivors=("no answer",),
        reproduction=evals.Reproduction.REPRODUCED,
    )
    accepted = replace(drafted, state=evals.State.ACCEPTED, reviewer="ada", at=NOW + timedelta(seconds=1))
    assert await evals.get(db, eval_id) is None
    await evals.insert(db, drafted)
    assert await evals.get(db, eval_id) == drafted
    await evals.insert(db, accepted)
    await evals.insert(db, drafted)  # done again after a crash
    assert await evals.of_agent(db, agent) == [accepted]
    assert await evals.of_agent(db, agent, evals.State.DRAFTED) == []
    assert accepted in await evals.of_agent(db, "", evals.State.ACCEPTED)
    figures = await db.query(
        "SELECT precision, recall, mutation_score, flake_rate FROM evals FINAL WHERE eval_id = {e:String}",
        e=eval_id,
    )
    assert figures == [{"precision": 0.5, "recall": 0.5, "mutation_score": 0.75, "flake_rate": 0.3}]
    said = (accepted.precision, accepted.recall, accepted.mutation_score, accepted.flake_rate)
    assert said == tuple(figures[0].values())
    await evals.insert(db, replace(accepted, state=evals.State.RETIRED, reason="sold"))
    assert await evals.of_agent(db, agent, evals.State.ACCEPTED) == []


async def test_an_eval_that_the_base_does_not_fail_never_gates(db: ClickHouse) -> None:
    eval_id = unique()
    record = draft_record(eval_id)
    await evals.insert(db, replace(record, reproduction=evals.Reproduction.NOT_REPRODUCED))
    kept = await evals.get(db, eval_id)
    assert kept is not None
    assert not kept.gates
    assert record.gates
    assert not replace(record, state=evals.State.DRAFTED).gates


def draft_record(eval_id: str) -> EvalRecord:
    return EvalRecord(
        eval_id=eval_id,
        agent=unique(),
        mode_id="m",
        title="t",
        state=evals.State.ACCEPTED,
        eval_yaml="y",
        cassette_jsonl="c",
        content_sha256="s",
        failing_caught=1,
        failing=1,
        healthy_passed=1,
        healthy=1,
        reviewer="ada",
        at=NOW,
    )


async def test_what_drafting_costs_is_spent(db: ClickHouse) -> None:
    agent, mode_id = unique(), unique()
    call = DraftCall(
        call_id=unique(),
        agent=agent,
        mode_id=mode_id,
        eval_id="e",
        what="model",
        model="claude-sonnet-5-5",
        prompt="draft/1",
        input_tokens=1_000_000,
        output_tokens=0,
        usd=3.0,
        seconds=1.5,
        outcome="its answer is no eval",
        at=NOW,
    )
    base = replace(call, call_id=unique(), what="base", model="", usd=0.0)
    await drafting.insert(db, [call, base])
    await drafting.insert(db, [call])  # told again
    assert {c.call_id for c in await drafting.of_mode(db, mode_id)} == {call.call_id, base.call_id}
    (price,) = (p for name, p in known_prices().items() if name == "claude-sonnet-5-5")
    assert await spent_usd(db, agent, ["claude-sonnet-5-5"], NOW - timedelta(days=1)) == 3.0 + price.input


async def test_variants_of_an_eval_are_kept_apart_and_are_those_that_were_reviewed(
    db: ClickHouse,
) -> None:
    eval_id = f"eval-{unique()}"
    eval_ = Eval(
        format=2,
        id=eval_id,
        agent="helpdesk",
        mode_id="m",
        title="It answers",
        input={},
        expect=(Answered(),),
        provenance=Provenance(drafted_by="d", drafted_at=NOW, source_traces=("t",)),
    )
    variants = tuple(HeldOut(Variant(input={"n": n}), Cassette()) for n in (1, 2))
    entry = Entry(eval_, Cassette(), variants)
    record = evals.EvalRecord(
        eval_id=eval_id,
        agent="helpdesk",
        mode_id="m",
        title="It answers",
        state=evals.State.DRAFTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl="",
        content_sha256=entry.content_sha256,
        failing_caught=1,
        failing=1,
        healthy_passed=1,
        healthy=1,
        reviewer="",
        at=NOW,
    )
    with pytest.raises(UserError, match="is not what was reviewed"):
        await heldout.entry_of(db, record)
    await heldout.insert(db, entry)
    await heldout.insert(db, replace(entry, held_out=variants[:1]))  # another draft of it
    assert await heldout.entry_of(db, record) == entry


async def test_changes_and_their_steps(db: ClickHouse) -> None:
    agent, change_id = unique(), unique()
    written = ChangeRecord(
        change_id=change_id,
        agent=agent,
        mode_id="m",
        eval_id="e",
        attempt=1,
        state=changes.State.WRITTEN,
        base_commit="b",
        patch="diff\n",
        diagnosis="why",
        model="m",
        usd=0.25,
        at=NOW,
    )
    proposed = replace(written, state=changes.State.PROPOSED)
    for change in (written, proposed, written):
        await changes.insert(db, change)
    assert await changes.of_agent(db, agent) == [proposed]
    failed = replace(written, change_id=unique(), eval_id="f", state=changes.State.FAILED)
    for change in (replace(failed, state=changes.State.WRITTEN), failed):
        await changes.insert(db, change)
    assert changes.State.FAILED not in {c.state for c in await changes.of_agent(db, agent)}


async def test_every_step_that_was_paid_for_is_spent_once(db: ClickHouse) -> None:
    agent = unique()
    step = StepRecord(
        agent=agent,
        change_id="c",
        session_id="s1",
        step=1,
        epoch=1,
        state=StepState.ANSWERED,
        stop_reason="tool_use",
        content="[]",
        results="[]",
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=0,
        cache_write_tokens=0,
        usd=0.1,
        seconds=1.5,
        at=NOW,
    )
    # It is told when it is paid for and when it is answered; another process makes the call again.
    again = replace(step, epoch=2, usd=0.2)
    other = replace(step, agent=unique(), change_id="d")
    for told in (step, replace(step, results='["done"]'), again, again, replace(again, step=2), other):
        await sessions.insert_steps(db, [told])
    assert await spent_usd(db, agent, [], NOW - timedelta(hours=1)) == pytest.approx(0.5)
    assert await spent_usd(db, agent, [], NOW + timedelta(hours=1)) == 0
    results = await db.query(
        "SELECT results FROM harness_steps FINAL WHERE change_id = 'c' ORDER BY step, epoch LIMIT 1"
    )
    assert [row["results"] for row in results] == ['["done"]']


async def test_a_decision_comes_back_whole_with_its_trials(db: ClickHouse) -> None:
    decision = next(m for m in EXAMPLES if isinstance(m, DecisionReached))
    assert not await decisions.decided(db, decision.change_id)
    for _ in range(2):
        await decisions.insert(db, decision)
    assert await decisions.decided(db, decision.change_id)
    assert await decisions.of_agent(db, decision.agent) == [decision]
    ran = [
        TrialRecord(
            trial_id=f"t{n}",
            decision_id=decision.decision_id,
            subject="candidate",
            agent=decision.agent,
            eval_id="e",
            number=n,
            variant=0,
            passed=n == 0,
            reasons=() if n == 0 else ("expected a call", "expected an answer"),
            answer="ü",
            model_calls=2,
            models=("claude-sonnet-5-5",),
            input_tokens=3,
            output_tokens=4,
            divergences=1,
            seconds=0.5,
            at=NOW,
        )
        for n in range(3)
    ]
    for _ in range(2):
        await trials.insert(db, ran)
    assert await trials.of_series(db, decision.decision_id) == ran


async def test_hostile_text_is_stored_as_it_is(db: ClickHouse) -> None:
    agent = "x'); DROP TABLE verdicts; --"
    hostile = replace(verdict(agent, unique(), "m"), signals=(replace(SIGN, detail="{x:String}\\'\x00😀"),))
    await verdicts.insert(db, [hostile])
    (row,) = await db.query("SELECT signals.detail AS d FROM failures WHERE agent = {a:String}", a=agent)
    assert row["d"] == ["{x:String}\\'\x00😀"]


async def test_a_table_that_was_altered_takes_what_it_took_before(db: ClickHouse) -> None:
    await db.command("CREATE TABLE altered (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    for number in range(2):
        await db.insert("altered", [{"a": number, "b": "x"}])
    await db.command("ALTER TABLE altered MODIFY COLUMN b LowCardinality(String), ADD COLUMN c UInt8")
    await db.insert("altered", [{"a": 2, "b": "y"}])
    await db.command("ALTER TABLE altered DROP COLUMN b")
    with pytest.raises(DatabaseError):
        await db.insert("altered", [{"a": 3, "b": "z"}])
    await db.insert("altered", [{"a": 3}])
    await db.command("ALTER TABLE altered ADD COLUMN b UInt32")
    await db.insert("altered", [{"a": 4, "b": 5}])  # asked about again: nothing is known from before
    rows = await db.query("SELECT a, b FROM altered ORDER BY a")
    assert [(row["a"], row["b"]) for row in rows] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 5)]


async def test_clickhouse_away_is_an_outage() -> None:
    away = ClickHouse(Settings(clickhouse=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(OutageError, match=r"ClickHouse at http://127\.0\.0\.1:\d+ does not answer"):
        await away.query("SELECT 1")
    await away.close()


async def test_clickhouse_that_hangs_is_an_outage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Chdb(tmp_path)
    server.start()
    db = ClickHouse(Settings(clickhouse=server.url, clickhouse_database="default"))
    await db.command("CREATE DATABASE d ENGINE = Atomic")
    await db.command("CREATE TABLE d.t (n UInt8) ENGINE = MergeTree ORDER BY n")
    await db.insert("d.t", [{"n": 1}])
    with monkeypatch.context() as patch, server.hanging():
        patch.setattr("outerloop.runtime.clickhouse._INSERT_SECONDS", 0.3)
        for insert in (db.insert("d.t", [{"n": 2}]), db.insert_raw("d.t", b"2\n", "TSV")):
            with pytest.raises(OutageError, match=r"does not answer .*no insert has ended for 0\.3 s"):
                await insert
    await db.insert("d.t", [{"n": 3}])
    assert (await db.query("SELECT max(n) AS n FROM d.t"))[0]["n"] == 3
    await db.close()
    assert server.stop() == 0


@pytest.mark.parametrize("code", [159, 202, 209, 210, 241, 242, 243, 252, 279, 394, 439, 999])
async def test_clickhouse_under_load_is_an_outage(db: ClickHouse, code: int) -> None:
    sql = f"SELECT throwIf(1, 'load', toInt16({code})) SETTINGS allow_custom_error_code_in_throwif = 1"
    with pytest.raises(OutageError, match="load"):
        await db.query(sql)
    with pytest.raises(OutageError, match="load"):
        await db.command(sql)


async def test_a_query_that_is_wrong_is_no_outage(db: ClickHouse) -> None:
    with pytest.raises(DatabaseError, match="SYNTAX_ERROR"):
        await db.query("SELEC 1")


async def test_spans_of_many_months_are_stored(db: ClickHouse) -> None:
    (root,) = spans_of(samples.request(samples.span(8, 0, "x")))
    month = 31 * 24 * 3600 * samples.NS
    many = [replace(root, span_id=f"{n:016x}", start_ns=n * month, end_ns=n * month) for n in range(1, 150)]
    await insert_spans(db, many, NOW)
    assert len((await spans.traces(db, [root.trace_id]))[root.trace_id].spans) == 149


async def test_a_missing_table_is_waited_for_by_services_and_said_to_people(db: ClickHouse) -> None:
    for kind in (OutageError, UserError):
        with pytest.raises(kind, match=r"lacks a table; if it is one of ours, run `outerloop migrate` first"):
            await db.query("SELECT * FROM of_tomorrow")
        with pytest.raises(kind, match=r"run `outerloop migrate` first"):
            await db.insert("of_tomorrow", [{"a": 1}])


async def test_a_database_that_is_not_there_says_what_to_do(chdb: str) -> None:
    nowhere = ClickHouse(Settings(clickhouse=chdb, clickhouse_database="nowhere"))
    for kind in (UserError, OutageError):  # a person is told, and a service waits
        with pytest.raises(kind, match="has no database nowhere: run `outerloop migrate` first"):
            await nowhere.query("SELECT 1")
    await nowhere.close()
