"""Propose as a service: real broker, engine and git, and the scripted Messages API for a model."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import REGISTRY

from engines.repositories import AGENT, advance, agent_repository
from outerloop.cli import kafka
from outerloop.contracts.v1.change_pb2 import ChangeAbandoned, ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_REJECT, VERDICT_SHIP, DecisionReached, EvalOutcome
from outerloop.contracts.v1.eval_pb2 import EvalAccepted
from outerloop.contracts.v1.loop_pb2 import LessonNoted, LoopPaused
from outerloop.dev.messages_api import Dice, Fault, MessagesApi, Reply, Script, serving
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.propose import app, budget
from outerloop.propose.app import CONSUMES, Proposer
from outerloop.propose.ids import change_id
from outerloop.propose.memory import Memory
from outerloop.propose.record import Step
from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.bus import MAX_RECORD_BYTES, Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.pause import Pauses
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import OTLP_SPANS, dead_letter_topic, topic_of, topics
from outerloop.store import changes, decisions, evals, lessons, modes, releases, sessions, trials
from outerloop.store.changes import ChangeRecord, State
from outerloop.store.evals import EvalRecord
from outerloop.store.lessons import Tally
from outerloop.store.migrate import migrate
from outerloop.store.releases import Reopening
from outerloop.store.spending import spent_usd, today
from outerloop.store.trials import TrialRecord
from outerloop.trace.model import Trace
from outerloop.trace.otlp import spans_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINISH = {"diagnosis": "d", "cause": "c", "risk": "r", "confidence": 0.8}
ACCEPTED = topic_of(EvalAccepted).name
# By group: what a bus that is entered already listens to.
PAUSES: dict[str, Pauses] = {}
Turn = list[dict[str, Any]]


def use(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "name": name, "input": arguments}


def edit(new: str) -> dict[str, Any]:
    return use("edit_file", path="tools/refund.yaml", old="refunds", new=new)


LOOK: Turn = [use("list_files")]
TALK: Turn = [{"type": "text", "text": "I would edit the policy."}]
GIVE_UP: Turn = [use("give_up", reason="The tool itself is broken.")]
CHANGE: Turn = [edit("Refunds, to the card.")]
OTHER: Turn = [edit("Refunds, within 30 days.")]
DONE: Turn = [use("finish", **FINISH)]


class Model:
    """Says `turns` of the n-th session to it, or of the last; a session is told by its first message."""

    def __init__(self, *sessions: list[Turn]) -> None:
        self.sessions = sessions
        self.first: list[str] = []  # what each session was told
        self.calls = 0

    def __call__(self, request: dict[str, Any], dice: Dice) -> Reply:
        self.calls += 1
        messages = request["messages"]
        if len(messages) == 1:
            self.first.append("\n".join(block["text"] for block in messages[0]["content"]))
        turns = self.sessions[min(len(self.first), len(self.sessions)) - 1]
        return {"content": turns[min(len(messages) // 2, len(turns) - 1)]}


@dataclass(frozen=True)
class Desk:
    """What the tests of this module share; each has agents of its own."""

    settings: Settings
    bus: Bus
    db: ClickHouse

    @asynccontextmanager
    async def proposer(
        self, api: MessagesApi, agents: str, bus: Bus | None = None, **own: Any
    ) -> AsyncIterator[Proposer]:
        """A proposer for `agents` (OUTERLOOP_AGENTS), who waits for no outage to end."""
        given = (
            self.settings.model_dump(exclude={"otlp_endpoint"})
            | {"sandbox": "none", "propose_attempts": 2, "agents": agents}
            | own
        )
        given |= {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": api.url}
        on = bus or self.bus
        one = Proposer(ProposeSettings(**given), on, self.db, PAUSES.get(on.group))
        client = one._attempts._provider.client  # a service leaves it to the end of its process
        client.max_retries = 0
        async with client:
            yield one

    async def advance(self, script: Script, agents: str, **own: Any) -> None:
        """What an event about the one agent of `agents` does."""
        async with serving(script) as api, self.proposer(api, agents, **own) as one:
            await one.advance(agents.partition("=")[0], None, None)

    async def accept(self, agent: str) -> EvalRecord:
        provenance = Provenance(drafted_by="draft", drafted_at=datetime.now(UTC), source_traces=("t",))
        eval_ = Eval(
            id=uuid.uuid4().hex,
            agent=agent,
            mode_id="m1",
            title="It answers",
            input={},
            expect=(Answered(),),
            provenance=provenance,
        )
        record = EvalRecord(
            eval_id=eval_.id,
            agent=agent,
            mode_id="m1",
            title=eval_.title,
            state=evals.State.ACCEPTED,
            eval_yaml=eval_.to_yaml(),
            cassette_jsonl="",
            content_sha256=content_sha256(eval_, Cassette()),
            failing_caught=1,
            failing=1,
            healthy_passed=1,
            healthy=1,
            reviewer="r",
            at=datetime.now(UTC),
        )
        await evals.insert(self.db, record)
        return record

    async def changes(self, agent: str) -> list[ChangeRecord]:
        return await changes.of_agent(self.db, agent)

    async def shipped(self, change: ChangeRecord) -> None:
        """The gate ships a change."""
        decision = DecisionReached(
            decision_id=f"d-{change.change_id}",
            agent=change.agent,
            change_id=change.change_id,
            eval_id=change.eval_id,
            verdict=VERDICT_SHIP,
            reason="shipped as 4dffda6",
            shipped_commit="4dffda6",
        )
        decision.decided_at.FromDatetime(datetime.now(UTC))
        await decisions.insert(self.db, decision)

    async def rejected(self, change: ChangeRecord, reason: str) -> None:
        """The gate rejects a change."""
        decision = DecisionReached(
            decision_id=f"d-{change.change_id}",
            agent=change.agent,
            change_id=change.change_id,
            eval_id=change.eval_id,
            verdict=VERDICT_REJECT,
            reason=reason,
            outcomes=[
                EvalOutcome(eval_id="p", title="Refunds in time", trials=5, reasons=["no refund_order"])
            ],
        )
        decision.decided_at.FromDatetime(datetime.now(UTC))
        await decisions.insert(self.db, decision)

    async def pause(self, agent: str, *, paused: bool) -> None:
        """A person pauses an agent, or lets it go on."""
        said = LoopPaused(agent=agent, paused=paused, by="ada", reason="a migration")
        await self.bus.publish(said, because=(agent, paused, uuid.uuid4()))
        pauses = PAUSES[self.bus.group]

        async def heard() -> bool:
            return bool(pauses.known(agent)) == paused

        await until(heard)

    async def reopened(self, record: EvalRecord, cause: str) -> None:
        """Production shows that the eval does not hold."""
        reopening = Reopening(
            cause=cause,
            agent=record.agent,
            eval_id=record.eval_id,
            mode_id=record.mode_id,
            commit="4dffda6",
            reason=f"it shipped and was undone: {cause}",
            passed=81,
            trials=90,
            at=datetime.now(UTC),
        )
        await releases.reopen(self.db, reopening)

    async def spent(self, agent: str) -> float:
        return await spent_usd(self.db, agent, [], datetime(2020, 1, 1, tzinfo=UTC))

    async def proposed(self, agent: str) -> list[ChangeProposed]:
        found = await kafka.records(self.settings, topic_of(ChangeProposed).name)
        events = [ChangeProposed.FromString(record.value) for record in found]
        return [event for event in events if event.agent == agent]

    async def abandoned(self, agent: str) -> list[ChangeAbandoned]:
        found = await kafka.records(self.settings, topic_of(ChangeAbandoned).name)
        events = [ChangeAbandoned.FromString(record.value) for record in found]
        return [event for event in events if event.agent == agent]


async def until(ask: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await ask():  # noqa: ASYNC110 - it happens in broker and engine
            await asyncio.sleep(0.05)


def agent_name() -> str:
    return f"agent-{uuid.uuid4().hex[:8]}"


def terms(agent: str, more: str = "") -> bytes:
    return f"agent: {agent}\nrun: [python]\nmutable: [prompts/**, tools/*.yaml]\n{more}".encode()


async def remote(folder: Path, agent: str, more: str = "") -> str:
    """OUTERLOOP_AGENTS for an agent with a repository of its own."""
    await agent_repository(folder, AGENT | {"outerloop.yaml": terms(agent, more)})
    return f"{agent}={folder / 'remote'}"


@asynccontextmanager
async def running(proposer: Proposer) -> AsyncIterator[asyncio.Task[None]]:
    """With look() beside."""
    task = asyncio.create_task(proposer.look())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def create_topics(settings: Settings, group: str) -> None:
    """The dead-letter topics of a group."""
    await kafka.create_topics(settings, {dead_letter_topic(name, group): 1 for name in CONSUMES}, 1)


@asynccontextmanager
async def member(settings: Settings, group: str) -> AsyncIterator[Bus]:
    """A bus whose group holds every key."""
    await create_topics(settings, group)
    bus = Bus(settings, group)

    async def leave(_: object) -> None:
        """Tests call the proposer themselves, unless they subscribe it."""

    bus.subscribe([ACCEPTED], leave, at_most=1)
    PAUSES[group] = Pauses(bus)
    async with bus:

        async def holds() -> bool:
            return bus.holds(ACCEPTED, "any")

        await until(holds)
        yield bus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tansu: str, chdb: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    settings = Settings(
        kafka=tansu,
        kafka_idempotent_producer=False,
        kafka_session_timeout_ms=6000,
        clickhouse=chdb,
        clickhouse_database=f"propose_{uuid.uuid4().hex[:8]}",
        cache=tmp_path_factory.mktemp("cache"),
        retries=1,
    )
    await migrate(settings)
    await kafka.create_topics(settings, dict.fromkeys(topics(), 1), 1)
    db = ClickHouse(settings)
    async with member(settings, f"propose{uuid.uuid4().hex[:8]}") as bus:
        yield Desk(settings, bus, db)
    await db.close()


async def test_the_eval_of_a_muted_mode_waits_until_it_is_unmuted(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    record = replace(await desk.accept(agent), mode_id=f"{agent}-mode")
    await evals.insert(desk.db, record)
    where, model = await remote(tmp_path, agent), Model([CHANGE, DONE])
    for name in (modes.State.MUTED, modes.State.UNMUTED):
        assert await desk.changes(agent) == []
        await modes.enter(desk.db, record.mode_id, name, name.value, at=datetime.now(UTC))
        await desk.advance(model, where)
    (change,) = await desk.changes(agent)
    assert change.mode_id == record.mode_id


async def test_a_change_is_written_and_sent(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    record = await desk.accept(agent)
    await desk.advance(Model([CHANGE, DONE]), await remote(tmp_path, agent))
    (change,) = await desk.changes(agent)
    (event,) = await desk.proposed(agent)
    assert (change.state, change.change_id) == (State.PROPOSED, change_id(record.eval_id, 1))
    assert "+description: Refunds, to the card." in change.patch == event.patch
    assert 0 < change.usd == pytest.approx(await desk.spent(agent))


async def test_a_session_that_brings_nothing_is_an_attempt_and_the_next_one_knows(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    record = await desk.accept(agent)
    model = Model([TALK], [CHANGE, DONE])
    await desk.advance(model, await remote(tmp_path, agent))
    failed, proposed = await desk.changes(agent)
    assert (failed.state, failed.attempt) == (State.FAILED, 1)
    assert failed.diagnosis == "silence: the model stopped calling tools"
    assert failed.usd > 0
    assert (proposed.state, proposed.attempt) == (State.PROPOSED, 2)
    assert proposed.change_id == change_id(record.eval_id, 2)
    assert "### Attempt 1: no change\n\nwhy: silence: the model stopped calling tools" in model.first[1]
    assert await desk.abandoned(agent) == []


async def test_after_so_many_attempts_without_a_patch_the_eval_is_given_up(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    model = Model([TALK])
    await desk.advance(model, await remote(tmp_path, agent))
    assert len(model.first) == 2
    (event,) = await desk.abandoned(agent)
    assert event.attempts == 2
    assert event.reason.startswith("changes rejected: 0; sessions that brought none: 2")


async def test_the_model_itself_ends_an_eval_at_once(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    model = Model([GIVE_UP])
    await desk.advance(model, await remote(tmp_path, agent))
    assert len(model.first) == 1
    (row,) = await desk.changes(agent)
    assert row.state is State.ABANDONED
    assert 0 < row.usd == pytest.approx(await desk.spent(agent))


async def test_a_session_that_an_outage_or_a_kill_stops_goes_on_from_its_last_step(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    calls: list[int] = []
    turns = [LOOK, LOOK, CHANGE, LOOK, LOOK, LOOK, DONE]

    def model(request: dict[str, Any], dice: Dice) -> Reply:
        calls.append(len(request["messages"]) // 2)
        if len(calls) == 3:
            api.inject(Fault(kind="500", times=1))
        if len(calls) == 5:
            api.inject(Fault(kind="hang", seconds=60))
        return {"content": turns[calls[-1]]}

    agents = await remote(tmp_path, agent)
    async with serving(model) as api, desk.proposer(api, agents) as proposer:
        with pytest.raises(OutageError, match="the model provider is away"):
            await proposer.advance(agent, None, None)
        before = await desk.spent(agent)
        assert before > 0
        killed = asyncio.create_task(proposer.advance(agent, None, None))

        async def hangs() -> bool:
            return len(calls) >= 5 and not api.plan.faults

        await until(hangs)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        between = await desk.spent(agent)
        # What the call in flight could have cost at most is spent too, since nobody knows.
        assert between > before + 0.1
        async with desk.proposer(api, agents) as another:
            await another.advance(agent, None, None)
    assert calls == [0, 1, 2, 3, 4, 5, 6]
    (change,) = await desk.changes(agent)
    assert "to the card" in change.patch
    assert change.usd == pytest.approx(await desk.spent(agent))


async def test_a_day_costs_no_more_than_its_budget(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent, "budget: {usd_per_day: 0.5}\n")
    model = Model([LOOK])
    own: dict[str, Any] = {"propose_usd_per_session": 0.3, "propose_attempts": 50}
    async with serving(model) as api, desk.proposer(api, agents, **own) as proposer:
        for _ in range(5):
            await proposer.advance(agent, None, None)
    assert 0.1 < await desk.spent(agent) <= 0.5
    said = [r.getMessage() for r in caplog.records if "today's budget is spent" in r.getMessage()]
    assert len(said) == 1


async def test_trials_of_the_gate_are_of_the_same_budget(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(
        tmp_path, agent, "models: {anthropic: claude-sonnet-5-5}\nbudget: {usd_per_day: 1}\n"
    )
    trial = TrialRecord(
        trial_id="t",
        decision_id=agent,
        subject="candidate",
        agent=agent,
        eval_id="e",
        number=0,
        variant=0,
        passed=True,
        reasons=(),
        answer="",
        model_calls=1,
        models=("claude-sonnet-5-5",),
        input_tokens=200_000,
        output_tokens=50_000,
        divergences=0,
        seconds=1,
        at=datetime.now(UTC),
    )
    await trials.insert(desk.db, [trial])
    model = Model([GIVE_UP])
    await desk.advance(model, agents)
    assert model.calls == 0
    assert await desk.changes(agent) == []


async def test_one_agents_trouble_ends_nothing_for_the_others(desk: Desk, tmp_path: Path) -> None:
    nowhere, broken, bug, well = (agent_name() for _ in range(4))
    for agent in (nowhere, broken, bug, well):
        await desk.accept(agent)
    agents = [
        f"{nowhere}={tmp_path / 'nowhere'}",
        await remote(tmp_path / "broken", broken, "budget: {usd_per_day: much}\n"),
        await remote(tmp_path / "bug", bug),
        await remote(tmp_path / "well", well),
    ]
    (record,) = await evals.of_agent(desk.db, bug)
    without_trace = record.eval_yaml.replace("source_traces:\n  - t", "source_traces: []")
    assert without_trace != record.eval_yaml
    await evals.insert(desk.db, replace(record, eval_yaml=without_trace))
    async with (
        serving(Model([GIVE_UP])) as api,
        desk.proposer(api, ",".join(agents)) as proposer,
        running(proposer) as look,
    ):
        await until(lambda: desk.changes(well))
        assert not look.done()


async def test_look_waits_for_what_this_replica_holds(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    model = Model([GIVE_UP])
    other = Bus(desk.settings, f"propose{uuid.uuid4().hex[:8]}")  # never connected: it holds nothing
    agents = await remote(tmp_path, agent)
    async with serving(model) as api, desk.proposer(api, agents, other) as proposer, running(proposer):
        await asyncio.sleep(0.5)
    assert model.calls == 0


async def test_two_replicas_write_one_patch_under_one_id(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    slow = Model([[edit("slow")], DONE])
    async with (
        member(desk.settings, f"propose{uuid.uuid4().hex[:8]}") as other,
        serving(Model([CHANGE, DONE])) as quick_api,
        serving(slow) as slow_api,
        desk.proposer(quick_api, agents, cache=tmp_path / "1") as one,
        desk.proposer(slow_api, agents, other, cache=tmp_path / "2") as two,
    ):
        slow_api.inject(Fault(kind="hang", seconds=3))
        late = asyncio.create_task(two.advance(agent, None, None))

        async def began() -> bool:
            return not slow_api.plan.faults

        await until(began)
        await one.advance(agent, None, None)
        assert not late.done()
        await late
    assert slow.calls == 2
    (change,) = await desk.changes(agent)
    assert "to the card" in change.patch
    events = await desk.proposed(agent)
    assert {event.patch for event in events} == {change.patch}


async def test_what_a_person_got_wrong_is_no_dead_letter(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = agent_name()
    record = await desk.accept(agent)
    await remote(tmp_path, agent)
    group = f"propose{uuid.uuid4().hex[:8]}"
    model = Model([GIVE_UP])
    bus = Bus(desk.settings, group)
    await create_topics(desk.settings, group)
    said = f"the repository of {agent} has no branch production"

    async def warned() -> bool:
        return said in caplog.text

    async with (
        serving(model) as api,
        desk.proposer(api, f"{agent}={tmp_path / 'remote'}#production", bus),
        bus,
    ):
        await desk.bus.publish(EvalAccepted(eval_id=record.eval_id, agent=agent), because=(record.eval_id,))
        await until(warned)
        await asyncio.sleep(1)  # time for a retry
    assert await kafka.records(desk.settings, dead_letter_topic(ACCEPTED, group)) == []
    assert await desk.abandoned(agent) == []
    of_it = {"group": group, "agent": agent}
    assert (REGISTRY.get_sample_value("outerloop_agent_waits_total", of_it) or 0) >= 1


async def test_without_a_key_an_agent_waits_for_a_person(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    agents = await remote(tmp_path, agent)
    async with serving(Model([GIVE_UP])) as api, desk.proposer(api, agents) as one:
        one._settings = one._settings.model_copy(update={"anthropic_api_key": None})
        await one.look_at(agent)  # there is nothing to ask a model for
        await desk.accept(agent)
        with pytest.raises(UserError, match="set ANTHROPIC_API_KEY"):
            await one.look_at(agent)


async def test_the_agents_tests_may_take_longer_than_a_trial(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent, "test: [sleep, '1.5']\n")
    await desk.advance(Model([CHANGE, [use("run_tests")], DONE]), agents, trial_seconds=0.5)
    results = await desk.db.query(
        "SELECT results FROM harness_steps FINAL WHERE agent = {agent:String} AND step = 2", agent=agent
    )
    assert "passed" in results[0]["results"]


async def test_the_agents_tests_run_in_the_environment_of_its_lock(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    where = "import sys; sys.exit('environments' not in sys.prefix)"
    more = f'environment: {{lock: tools/none.txt}}\ntest: [python, -c, "{where}"]\n'
    files = AGENT | {"outerloop.yaml": terms(agent, more), "tools/none.txt": b""}
    await agent_repository(tmp_path, files)
    agents = f"{agent}={tmp_path / 'remote'}"
    await desk.advance(Model([CHANGE, [use("run_tests")], DONE]), agents, cache=tmp_path / "cache")
    (change,) = await desk.changes(agent)
    assert change.patch


async def test_no_model_is_asked_while_the_agents_tests_fail_without_a_change(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent, "test: [python, -c, import nothing_of_this_name]\n")
    model = Model([CHANGE, DONE])
    async with serving(model) as api, desk.proposer(api, agents) as one:
        for _ in range(2):
            with pytest.raises(UserError, match=r"fail at .* without any change.*'nothing_of_this_name'"):
                await one.advance(agent, None, None)
        assert model.calls == 0
        mirror = await Repository.open(str(tmp_path / "remote"), tmp_path / "mirror")
        await advance(mirror, {"outerloop.yaml": terms(agent, "test: [python, -c, pass]\n")})
        await one.advance(agent, None, None)
    assert len(await desk.changes(agent)) == 1


async def test_a_model_that_the_provider_does_not_know_costs_nothing(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    for _ in range(3):
        with pytest.raises(UserError, match="the provider does not know 'claude-opus-4-5-20000101'"):
            await desk.advance(Model([CHANGE, DONE]), agents, propose_model="claude-opus-4-5-20000101")
    assert await desk.spent(agent) == 0
    await desk.advance(Model([CHANGE, DONE]), agents)
    assert len(await desk.changes(agent)) == 1


async def test_an_eval_that_is_reopened_is_work_again_and_the_next_attempt_knows_why(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    record = await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    model = Model([CHANGE, DONE], [GIVE_UP], [OTHER, DONE])
    async with serving(model) as api, desk.proposer(api, agents) as proposer:
        await proposer.advance(agent, None, None)
        (change,) = await desk.changes(agent)
        await desk.shipped(change)
        await proposer.advance(agent, None, None)
        assert len(model.first) == 1
        await desk.reopened(record, "the tool fails more often")
        await proposer.advance(agent, None, None)
        assert "### Attempt 1: shipped, and did not hold" in model.first[1]
        assert "production: it shipped and was undone: the tool fails more often" in model.first[1]
        (abandoned,) = await desk.abandoned(agent)
        assert abandoned.attempts == 2
        await proposer.advance(agent, None, None)
        assert len(model.first) == 2  # given up, until it is reopened for another cause
        await desk.reopened(record, "the mode is back")
        await proposer.advance(agent, None, None)
    last = (await desk.changes(agent))[-1]
    assert (last.state, last.attempt, last.change_id) == (State.PROPOSED, 2, change_id(record.eval_id, 2))
    assert "the tool fails more often; it shipped and was undone: the mode is back" in model.first[2]


async def test_a_pause_stops_a_session_at_once_and_nothing_is_lost(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    turns = [LOOK, CHANGE, LOOK, DONE]
    calls: list[int] = []

    def model(request: dict[str, Any], dice: Dice) -> Reply:
        calls.append(len(request["messages"]) // 2)
        if len(calls) == 2:
            api.inject(Fault(kind="hang", seconds=1))
        return {"content": turns[calls[-1]]}

    agents = await remote(tmp_path, agent)
    async with serving(model) as api, desk.proposer(api, agents) as proposer:
        working = asyncio.create_task(proposer.advance(agent, None, None))

        async def began() -> bool:
            return len(calls) >= 2

        await until(began)
        await desk.pause(agent, paused=True)
        await working
        paused = len(calls)
        assert paused < 4
        await proposer.advance(agent, None, None)
        assert len(calls) == paused
        assert await desk.changes(agent) == []
        await desk.pause(agent, paused=False)
        await proposer.advance(agent, None, None)
    assert calls == [0, 1, 2, 3]
    (change,) = await desk.changes(agent)
    assert change.state is State.PROPOSED


@pytest.mark.parametrize("by", ["retired", "muted"])
async def test_what_nobody_wants_any_more_stops_at_the_next_look(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(app, "_LOOK_SECONDS", 0.0)
    agent = agent_name()
    record = replace(await desk.accept(agent), mode_id=f"{agent}-mode")
    await evals.insert(desk.db, record)
    turns = [LOOK, CHANGE, LOOK, DONE]
    model = Model(turns)
    agents = await remote(tmp_path, agent)
    async with serving(model) as api, desk.proposer(api, agents) as proposer:
        asked = proposer._hindrance

        async def decided(agent: str) -> str:
            if model.calls == 2:  # between two calls of a session
                if by == "retired":
                    await evals.insert(desk.db, replace(record, state=evals.State.RETIRED))
                else:
                    await mode(modes.State.MUTED)
            return await asked(agent)

        async def mode(state: modes.State) -> None:
            await modes.enter(desk.db, record.mode_id, state, state.value, at=datetime.now(UTC))

        proposer._hindrance = decided  # type: ignore[method-assign]
        await proposer.advance(agent, None, None)
        assert model.calls == 2
        proposer._hindrance = asked  # type: ignore[method-assign]
        await proposer.advance(agent, None, None)
        assert (model.calls, await desk.changes(agent)) == (2, [])
        if by == "muted":  # nothing was lost
            await mode(modes.State.UNMUTED)
            await proposer.advance(agent, None, None)
    assert len(await desk.proposed(agent)) == (by == "muted")
    assert model.calls == (len(turns) if by == "muted" else 2)


async def test_what_was_rejected_is_told_to_the_next_attempt_and_at_other_modes(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    first = await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    third: Turn = [edit("Refunds, at once.")]
    model = Model([CHANGE, DONE], [OTHER, DONE], [third, DONE])
    async with serving(model) as api, desk.proposer(api, agents) as proposer:
        await proposer.advance(agent, None, None)
        (change,) = await desk.changes(agent)
        await desk.rejected(change, "an earlier eval does not pass any more")
        await proposer.advance(agent, None, None)
        # The same eval: the attempt itself is told. Its lesson would say nothing more.
        assert "### Attempt 1: rejected" in model.first[1]
        assert 'eval "Refunds in time" passed 0 of 5 trials: no refund_order' in model.first[1]
        assert "## Lessons\n\nnone" in model.first[1]
        await desk.shipped((await desk.changes(agent))[-1])
        other = await desk.accept(agent)
        (learned,) = await lessons.of_agent(desk.db, agent)
        assert (learned.mode_id, learned.change_id) == (first.mode_id, change.change_id)
        note = LessonNoted(lesson_id=f"l-{agent}", agent=agent, text="Keep it short.", by="ada")
        note.noted_at.FromDatetime(datetime.now(UTC))
        for _ in range(2):
            await proposer._schooling.note(note)
        await proposer.advance(agent, None, None)
        # The second attempt was told of its own eval's in full: neither with the lesson nor without it.
        assert learned.lesson_id not in await lessons.tallies(desk.db, agent)
        await desk.shipped((await desk.changes(agent))[-1])
    told = model.first[2].partition("## Lessons\n\n")[2].partition("\n\n## ")[0]
    assert "- Keep it short." in told
    assert "- Rejected: d The change was: description: Refunds, to the card." in told
    tallies = await lessons.tallies(desk.db, agent)
    assert tallies[learned.lesson_id] == Tally(shipped_with=1, tried_with=1)
    assert tallies[note.lesson_id] == Tally(shipped_with=1, tried_with=1)
    (session,) = await sessions.of_change(desk.db, agent, change_id(other.eval_id, 1))
    assert session.state is sessions.State.ENDED
    retire = LessonNoted(lesson_id=learned.lesson_id, agent=agent, retired=True, by="ada", reason="old")
    retire.noted_at.FromDatetime(datetime.now(UTC))
    await proposer._schooling.note(retire)
    await proposer._schooling.learn(agent, [change], {})
    states = {each.lesson_id: each.state for each in await lessons.of_agent(desk.db, agent)}
    assert states == {learned.lesson_id: lessons.State.RETIRED, f"l-{agent}": lessons.State.ACTIVE}


async def test_the_next_attempt_must_differ_and_a_model_that_insists_gets_nowhere(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    model = Model([CHANGE, DONE], [[edit("Refunds - to the CARD")], DONE])
    async with serving(model) as api, desk.proposer(api, agents) as proposer:
        await proposer.advance(agent, None, None)
        (change,) = await desk.changes(agent)
        await desk.rejected(change, "no")
        await proposer.advance(agent, None, None)
    rows = await desk.db.query(
        "SELECT results FROM harness_steps FINAL WHERE agent = {agent:String} AND step = 2 ORDER BY at",
        agent=agent,
    )
    assert (
        "it is the change of attempt 1 again, which did not ship: this one must differ" in rows[1]["results"]
    )
    assert len(await desk.proposed(agent)) == 1


async def test_the_attempts_at_one_eval_have_a_budget_and_then_the_mode_is_parked(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    model = Model([LOOK])
    own: dict[str, Any] = {
        "propose_usd_per_session": 0.3,
        "propose_usd_per_mode": 0.5,
        "propose_attempts": 50,
        "propose_usd_per_day": 10_000,
    }
    await desk.advance(model, agents, **own)
    assert 1 <= len(model.first) < 20  # not fifty
    assert 0.2 < await desk.spent(agent) <= 0.5
    (event,) = await desk.abandoned(agent)
    assert "budget: " in event.reason or "of the $0.50 that they may" in event.reason


async def test_all_agents_together_have_a_budget_a_day(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    model = Model([LOOK])
    already = await sessions.spent_by_all(desk.db, datetime(2020, 1, 1, tzinfo=UTC))
    await desk.advance(model, agents, propose_usd_per_day=already + 0.01)
    assert model.calls == 0
    assert await desk.changes(agent) == []


async def test_the_harness_traces_itself(desk: Desk, tmp_path: Path) -> None:
    agent = agent_name()
    await desk.accept(agent)
    await desk.advance(Model([CHANGE, DONE]), await remote(tmp_path, agent))
    found = await kafka.records(desk.settings, OTLP_SPANS)
    exports = [ExportTraceServiceRequest.FromString(record.value) for record in found]
    traces = [Trace.of(spans_of(export)) for export in exports]
    (mine,) = [t for t in traces if t.root.attributes.get("outerloop.agent") == agent]
    assert mine.agent == "outerloop-propose"
    assert [call.name for call in mine.tool_calls] == ["edit_file", "finish"]


async def test_what_others_spend_meanwhile_stops_a_session_before_its_next_call(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_LOOK_SECONDS", 0.0)
    agent, other = agent_name(), agent_name()
    await desk.accept(agent)
    turns = [LOOK, CHANGE, LOOK, DONE]
    calls: list[int] = []

    def model(request: dict[str, Any], dice: Dice) -> Reply:
        calls.append(len(request["messages"]) // 2)
        if len(calls) == 2:
            api.inject(Fault(kind="hang", seconds=2))
        return {"content": turns[calls[-1]]}

    agents = await remote(tmp_path, agent)
    already = await sessions.spent_by_all(desk.db, today())
    async with serving(model) as api, desk.proposer(api, agents, propose_usd_per_day=already + 2) as proposer:
        working = asyncio.create_task(proposer.advance(agent, None, None))

        async def began() -> bool:
            return len(calls) >= 2

        await until(began)
        known = await Memory(desk.db).begin(
            await desk.accept(other), "c", {0: ("prompt", "")}, attempt=1, base_commit="4", model="m"
        )
        paid = Step(number=1, epoch=known[0].epoch, content=[], reply=[], usd=2.0)
        await Memory(desk.db).write(known[0].record, [paid])
        await working
    assert len(calls) < 4
    assert await desk.changes(agent) == []
    async with serving(model) as api, desk.proposer(api, agents, propose_usd_per_day=already + 9) as proposer:
        await proposer.advance(agent, None, None)
    assert calls == [0, 1, 2, 3]
    assert [c.state for c in await desk.changes(agent)] == [State.PROPOSED]


async def test_a_session_that_is_too_large_for_kafka_keeps_no_change_from_being_proposed(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    record = await desk.accept(agent)
    known = Memory(desk.db)
    told = "A long story. " * (MAX_RECORD_BYTES // 14)
    begun = await known.begin(
        record,
        change_id(record.eval_id, 1),
        {0: ("prompt", told)},
        attempt=1,
        base_commit="4dffda6",
        model="claude-sonnet-5-5",
    )
    await known.end(begun[0].record, {"base": "4dffda6", "patch": "a patch", "diagnosis": "d", "usd": 0.25})
    await desk.advance(Model([DONE]), await remote(tmp_path, agent))
    assert [(c.state, c.patch) for c in await desk.changes(agent)] == [(State.PROPOSED, "a patch")]


async def stored(desk: Desk, tmp_path: Path) -> tuple[str, str, ChangeRecord]:
    """An agent whose one change is written and not marked as sent: name, OUTERLOOP_AGENTS, change."""
    agent = agent_name()
    record = await desk.accept(agent)
    change = ChangeRecord(
        change_id=change_id(record.eval_id, 1),
        agent=agent,
        mode_id=record.mode_id,
        eval_id=record.eval_id,
        attempt=1,
        state=State.WRITTEN,
        base_commit="4dffda6",
        patch="a patch",
        diagnosis="d",
        model="claude-sonnet-5-5",
        usd=0.25,
        at=datetime.now(UTC),
    )
    await changes.insert(desk.db, change)
    return agent, await remote(tmp_path, agent), change


@pytest.mark.parametrize("sent", [False, True], ids=["before its event", "after its event"])
async def test_a_change_that_a_kill_left_between_its_row_and_its_event_is_proposed_once(
    desk: Desk, tmp_path: Path, *, sent: bool
) -> None:
    agent, agents, change = await stored(desk, tmp_path)
    if sent:
        await desk.bus.publish(change.message(), because=(change.change_id,))
    model = Model([CHANGE, DONE])
    await desk.advance(model, agents)
    await desk.advance(model, agents)
    assert model.calls == 0
    (known,) = await desk.changes(agent)
    assert (known.state, known.patch) == (State.PROPOSED, "a patch")
    found = await kafka.records(desk.settings, topic_of(ChangeProposed).name)
    ours = [r for r in found if ChangeProposed.FromString(r.value).agent == agent]
    # Who reads it takes each id once.
    assert len(ours) == 1 + sent
    assert len({dict(r.headers)["ce_id"] for r in ours}) == 1


async def test_a_session_that_ended_and_whose_change_was_not_written_is_not_paid_for_again(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    record = await desk.accept(agent)
    agents = await remote(tmp_path, agent)
    memory = Memory(desk.db)
    begun = await memory.begin(
        record,
        change_id(record.eval_id, 1),
        {0: ("prompt", "# Task")},
        attempt=1,
        base_commit="4dffda6",
        model="claude-sonnet-5-5",
    )
    await memory.end(begun[0].record, {"base": "4dffda6", "patch": "a patch", "diagnosis": "d", "usd": 0.25})
    model = Model([CHANGE, DONE])
    await desk.advance(model, agents)
    assert model.calls == 0
    (event,) = await desk.proposed(agent)
    assert event.patch == "a patch"


async def test_half_of_a_pair_in_a_models_answer_is_stored_and_the_session_goes_on(
    desk: Desk, tmp_path: Path
) -> None:
    agent = agent_name()
    await desk.accept(agent)
    odd: Turn = [use("search", pattern="half \ud800 of it")]
    model = Model([odd, CHANGE, DONE])
    await desk.advance(model, await remote(tmp_path, agent))
    assert model.calls == 3
    (change,) = await desk.changes(agent)
    assert change.state is State.PROPOSED
