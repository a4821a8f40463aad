"""What `outerloop status` counts as standing still."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from integration.test_triage_following import World
from outerloop.cli.ask import STANDS_STILL
from outerloop.contracts.v1.decision_pb2 import VERDICT_REJECT, DecisionReached
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store import changes, decisions
from outerloop.store.changes import ChangeRecord
from outerloop.store.changes import State as ChangeState
from outerloop.store.migrate import migrate
from outerloop.store.modes import State

NAMES = ("modes_parked", "evals_to_review", "evals_without_a_change", "changes_without_a_verdict")


def change(world: World, mode_id: str, at: datetime) -> ChangeRecord:
    return ChangeRecord(
        change_id=f"change-of-{mode_id}",
        agent=world.agent,
        mode_id=mode_id,
        eval_id=f"eval-of-{mode_id}",
        attempt=1,
        state=ChangeState.PROPOSED,
        base_commit="",
        patch="",
        diagnosis="",
        model="",
        usd=0,
        at=at,
    )


@pytest.mark.asyncio
async def test_what_nobody_goes_on_with_is_counted(chdb: str) -> None:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"status_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    db = ClickHouse(settings)
    world = World(db)

    async def still() -> tuple[int, ...]:
        (row,) = await db.query(STANDS_STILL)
        return tuple(row[name] for name in NAMES)

    assert await still() == (0, 0, 0, 0)
    first, second = await world.mode("first"), await world.mode("second")
    assert await still() == (0, 0, 2, 0)
    await world.enters(second, State.PARKED)
    await world.enters(second, State.MUTED)
    assert await still() == (0, 0, 1, 0)  # nobody is to work on it
    await changes.insert(db, change(world, first, datetime.now(UTC)))
    assert await still() == (0, 0, 0, 0)  # the gate is at it
    await changes.insert(db, change(world, first, datetime.now(UTC) - timedelta(hours=2)))
    assert await still() == (0, 0, 0, 1)
    decided = DecisionReached(
        decision_id="d", agent=world.agent, change_id=f"change-of-{first}", verdict=VERDICT_REJECT
    )
    decided.decided_at.FromDatetime(datetime.now(UTC))
    await decisions.insert(db, decided)
    await world.enters(first, State.PARKED)
    assert await still() == (1, 0, 0, 0)
    await db.close()
