"""Migrations: two at once do the work of one, and a lock that was left behind holds nobody up for ever."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.settings import Settings
from outerloop.store import migrate as migrating
from outerloop.store.migrate import migrate, migrations

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    """A database that is empty."""
    settings = Settings(clickhouse=chdb, clickhouse_database=f"migrate_{uuid.uuid4().hex[:8]}")
    server = ClickHouse(settings.model_copy(update={"clickhouse_database": "default"}))
    await server.command(f"CREATE DATABASE {settings.clickhouse_database} ENGINE = Atomic")
    await server.close()
    one = ClickHouse(settings)
    yield one
    await one.close()


def settings_of(db: ClickHouse) -> Settings:
    return Settings(clickhouse=db.url, clickhouse_database=db.database)


async def test_of_many_at_once_each_migration_is_applied_by_one(db: ClickHouse) -> None:
    applied = await asyncio.gather(*(migrate(settings_of(db)) for _ in range(3)))
    assert sorted(name for each in applied for name in each) == [m.name for m in migrations()]
    assert (
        await db.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'migrating'"
        )
        == []
    )


async def test_who_waits_too_long_says_for_what(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    await db.command("CREATE TABLE migrating (none UInt8) ENGINE = Memory")
    monkeypatch.setattr(migrating, "WAIT_SECONDS", 0.5)
    with pytest.raises(OutageError, match=f"holds {db.database}.migrating for over 0.5 s"):
        await migrate(settings_of(db))


async def test_a_lock_that_was_left_behind_is_taken(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    await db.command("CREATE TABLE migrating (none UInt8) ENGINE = Memory")
    monkeypatch.setattr(migrating, "ABANDONED_SECONDS", 1.0)
    assert len(await migrate(settings_of(db))) == len(migrations())
