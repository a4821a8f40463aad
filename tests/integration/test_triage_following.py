"""Modes of which no event is sent: linked to another's eval, or left by an eval that was retired."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from engines.draft import Ear, delivery
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.eval_pb2 import EvalRetired
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Eval, Provenance
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store import decisions, evals, modes, verdicts
from outerloop.store.evals import EvalRecord
from outerloop.store.migrate import migrate
from outerloop.store.modes import Mode, State
from outerloop.store.verdicts import Verdict
from outerloop.triage import life
from outerloop.triage.following import Following
from outerloop.triage.openings import Openings

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC).replace(microsecond=0)
AGO = NOW - timedelta(days=9)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"following_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    db = ClickHouse(settings)
    yield db
    await db.close()


@dataclass
class World:
    """An agent whose modes are opened nine days ago, one after the other; two failures open one."""

    db: ClickHouse
    agent: str = field(default_factory=lambda: f"agent-{uuid.uuid4().hex[:8]}")
    bus: Ear = field(default_factory=Ear)
    now: datetime = AGO

    async def mode(self, name: str, by: str = "") -> str:
        """A mode with an eval of its own, accepted; or one that the eval of mode `by` catches."""
        mode_id = f"{self.agent}-{name}"
        await modes.insert(self.db, Mode(mode_id, self.agent, name, name, "k", AGO))
        await self.enters(mode_id, State.DRAFTING)
        eval_ = Eval(
            id=f"eval-of-{mode_id}",
            agent=self.agent,
            mode_id=mode_id,
            title=name,
            input={},
            expect=(Answered(),),
            provenance=Provenance(drafted_by="x", drafted_at=AGO, source_traces=("t",)),
        )
        record = EvalRecord(
            eval_id=eval_.id,
            agent=self.agent,
            mode_id=mode_id,
            title=name,
            state=evals.State.LINKED if by else evals.State.ACCEPTED,
            eval_yaml="" if by else eval_.to_yaml(),
            cassette_jsonl="",
            content_sha256="",
            failing_caught=0,
            failing=0,
            healthy_passed=0,
            healthy=0,
            reviewer="",
            at=self.now,
            linked_eval=f"eval-of-{by}" if by else "",
        )
        await evals.insert(self.db, record)
        return mode_id

    async def enters(self, mode_id: str, state: State, detail: str = "") -> None:
        self.now += timedelta(seconds=1)
        await modes.enter(self.db, mode_id, state, f"c-{self.now}", at=self.now, detail=detail)

    async def fails(self, mode_id: str, at: datetime, count: int = 2) -> None:
        rows = [
            Verdict(self.agent, "1", uuid.uuid4().hex, bool(mode_id), mode_id, "", (), "x", at, NOW)
            for _ in range(count)
        ]
        await verdicts.insert(self.db, rows)

    async def visit(self) -> None:
        following = Following(self.db, Openings(self.bus, self.db, 2), 2)
        for _ in range(2):  # the second changes nothing
            await following.visit(self.agent, NOW)

    async def state(self, mode_id: str) -> State:
        return (await modes.latest(self.db, [mode_id]))[mode_id].state


@pytest.fixture
def world(db: ClickHouse) -> World:
    return World(db)


async def test_a_linked_mode_goes_the_way_of_the_mode_whose_eval_catches_it(world: World) -> None:
    first = await world.mode("first")
    linked = await world.mode("linked", by=first)
    last = await world.mode("last", by=first)
    await world.visit()
    assert await world.state(linked) is State.DRAFTING
    for step in (State.PROPOSED, State.PARKED, State.REGRESSED, State.PROPOSED, State.CLOSED):
        await world.enters(first, step, "so it is")
        await world.visit()
        assert [await world.state(linked), await world.state(last)] == [step, step]
    said = (await modes.latest(world.db, [linked]))[linked].detail
    assert said == f"as mode {first[:8]}, whose eval {f'eval-of-{first}'[:8]} catches it: so it is"
    rows = await world.db.query("SELECT state FROM mode_states WHERE mode_id = {m:String}", m=linked)
    assert len(rows) == 6
    assert world.bus.said == []


async def test_a_mode_that_is_opened_again_follows_when_it_is_linked_again(world: World) -> None:
    first = await world.mode("first")
    linked = await world.mode("linked", by=first)
    await world.enters(first, State.PARKED)
    await world.visit()
    await world.enters(linked, State.OPEN)
    await world.visit()
    assert await world.state(linked) is State.OPEN  # nobody has looked at it yet
    await world.enters(linked, State.DRAFTING)
    await world.visit()
    assert await world.state(linked) is State.PARKED


async def test_a_mode_whose_eval_is_of_a_muted_one_waits_for_a_person(world: World) -> None:
    first = await world.mode("first")
    linked = await world.mode("linked", by=first)
    await world.enters(first, State.PROPOSED)
    await world.enters(first, State.MUTED)
    await world.visit()
    assert await world.state(linked) is State.PARKED
    said = (await modes.latest(world.db, [linked]))[linked].detail
    assert said.endswith("that mode is muted, and nobody works on it")
    await world.enters(first, State.UNMUTED)
    await world.visit()
    assert await world.state(linked) is State.PROPOSED
    await world.enters(first, State.CLOSED)
    await world.enters(first, State.MUTED)
    await world.visit()
    assert await world.state(linked) is State.CLOSED


async def test_two_modes_that_follow_each_other_stay(world: World) -> None:
    first, second = f"{world.agent}-first", f"{world.agent}-second"
    await world.mode("first")
    await world.mode("second")
    for mode_id, by in ((first, second), (second, first)):
        row = await evals.get(world.db, f"eval-of-{mode_id}")
        assert row is not None
        opened_again = replace(row, eval_id=f"again-{mode_id}", state=evals.State.LINKED)
        await evals.insert(world.db, replace(opened_again, linked_eval=f"eval-of-{by}", at=NOW))
    await world.enters(first, State.CLOSED)
    await world.visit()
    assert await world.state(second) is State.DRAFTING


async def test_a_linked_mode_that_fails_on_once_it_is_closed_is_opened_again(world: World) -> None:
    first = await world.mode("first")
    linked = await world.mode("linked", by=first)
    await world.enters(first, State.CLOSED)
    await world.fails(linked, world.now + timedelta(hours=1))  # what was not deployed yet
    await world.visit()
    assert (await world.state(linked), world.bus.said) == (State.CLOSED, [])
    await world.fails(linked, world.now + timedelta(days=2))
    await world.visit()
    assert await world.state(linked) is State.OPEN
    ((_, opened),) = world.bus.heard
    assert isinstance(opened, ModeOpened)
    assert opened.mode_id == linked


async def test_a_muted_mode_is_not_opened_again(world: World) -> None:
    first = await world.mode("first")
    linked = await world.mode("linked", by=first)
    await world.enters(first, State.CLOSED)
    await world.enters(linked, State.MUTED)
    await world.fails(linked, NOW)
    await world.visit()
    assert (await world.state(linked), world.bus.said) == (State.CLOSED, [])


def retired(world: World, mode_id: str) -> EvalRetired:
    message = EvalRetired(
        eval_id=f"eval-of-{mode_id}",
        agent=world.agent,
        mode_id=mode_id,
        retired_by="ada",
        reason="we sell no lamps",
    )
    message.retired_at.FromDatetime(NOW)
    return message


async def retire(world: World, mode_id: str) -> None:
    record = await evals.get(world.db, f"eval-of-{mode_id}")
    assert record is not None
    await evals.insert(world.db, replace(record, state=evals.State.RETIRED))
    for _ in range(2):  # also redelivered
        await life.step(world.db, delivery(retired(world, mode_id), f"retired-{mode_id}"))


async def test_a_mode_whose_eval_is_retired_waits_for_a_person(world: World) -> None:
    mode_id = await world.mode("first")
    await world.enters(mode_id, State.PROPOSED)
    await retire(world, mode_id)
    (step,) = (await modes.latest(world.db, [mode_id])).values()
    said = "ada retired its eval: we sell no lamps; `outerloop modes open` has another one drafted"
    assert (step.state, step.detail, step.at) == (State.PARKED, said, NOW)


async def test_a_mode_whose_eval_is_retired_after_it_shipped_is_closed_whichever_is_heard_first(
    world: World,
) -> None:
    mode_id = await world.mode("first")
    await world.enters(mode_id, State.PROPOSED)
    shipped = DecisionReached(
        decision_id=f"d-{mode_id}",
        agent=world.agent,
        mode_id=mode_id,
        eval_id=f"eval-of-{mode_id}",
        verdict=VERDICT_SHIP,
        shipped_commit="4dffda6",
    )
    shipped.decided_at.FromDatetime(NOW - timedelta(minutes=5))
    await decisions.insert(world.db, shipped)
    await retire(world, mode_id)
    await life.step(world.db, delivery(shipped, f"shipped-{mode_id}"))
    assert await world.state(mode_id) is State.CLOSED


async def test_a_mode_that_is_closed_or_has_another_eval_goes_on_without_the_one_retired(
    world: World,
) -> None:
    closed, other = await world.mode("closed"), await world.mode("other")
    await world.enters(closed, State.CLOSED)
    record = await evals.get(world.db, f"eval-of-{other}")
    assert record is not None
    await evals.insert(world.db, replace(record, eval_id=f"second-of-{other}", state=evals.State.DRAFTED))
    await retire(world, closed)
    await retire(world, other)
    assert [await world.state(closed), await world.state(other)] == [State.CLOSED, State.DRAFTING]


async def test_a_mode_that_is_back_and_whose_eval_is_retired_waits_for_a_person(world: World) -> None:
    gone, stands = await world.mode("gone"), await world.mode("stands")
    for mode_id in (gone, stands):
        await world.enters(mode_id, State.CLOSED)
    await retire(world, gone)
    for mode_id in (gone, stands):
        message = EvalReopened(
            eval_id=f"eval-of-{mode_id}", agent=world.agent, mode_id=mode_id, reason="it is back"
        )
        message.reopened_at.FromDatetime(NOW)
        await life.step(world.db, delivery(message, f"reopened-{mode_id}"))
    assert [await world.state(gone), await world.state(stands)] == [State.PARKED, State.REGRESSED]
    (step,) = (await modes.latest(world.db, [gone])).values()
    assert step.detail.startswith("it is back, and its eval is retired; ")
