"""Apply the migrations: plain forward-only SQL, in order of number, each recorded when done.

A migration consists of statements that are harmless to repeat (IF NOT EXISTS), because ClickHouse has no
transaction around them: a crash between a statement and its record runs the file again. One `migrate` at a
time: the lock is a table, as of those who create it at once only one succeeds.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import resources

from clickhouse_connect.driver.exceptions import DatabaseError

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.settings import Settings

WAIT_SECONDS = 300.0  # for another that migrates
ABANDONED_SECONDS = 1800.0  # no migration takes as long: whoever held the lock is gone
_LOOK_SECONDS = 0.2
_TABLE_ALREADY_EXISTS = 57


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `name` is NNNN_what."""

    name: str
    statements: tuple[str, ...]


def migrations() -> list[Migration]:
    """All migrations that the package holds, in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(f.name.removesuffix(".sql"), _statements(f.read_text("utf-8"))) for f in files]


async def migrate(settings: Settings) -> list[str]:
    """Create the database where it is missing and apply what is not applied yet; names what it applied."""
    server = ClickHouse(settings.model_copy(update={"clickhouse_database": "default"}))
    # Atomic, explicitly: chDB's default database engine lacks what some of our tables need.
    await server.command(f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database} ENGINE = Atomic")
    await server.close()
    db = ClickHouse(settings)
    try:
        await db.command(
            "CREATE TABLE IF NOT EXISTS migrations (name String, applied_at DateTime64(3, 'UTC')"
            " DEFAULT now64(3)) ENGINE = ReplacingMergeTree ORDER BY name"
        )
        async with _alone(db):
            return await _apply(db)
    finally:
        await db.close()


async def _apply(db: ClickHouse) -> list[str]:
    done = {row["name"] for row in await db.query("SELECT name FROM migrations")}
    pending = [m for m in migrations() if m.name not in done]
    for migration in pending:
        for statement in migration.statements:
            await db.command(statement)
        await db.insert("migrations", [{"name": migration.name}])
    return [m.name for m in pending]


@contextlib.asynccontextmanager
async def _alone(db: ClickHouse) -> AsyncIterator[None]:
    """Holds the lock within.

    Raises:
        OutageError: when somebody else holds it for too long.
    """
    until = time.monotonic() + WAIT_SECONDS
    while not await _taken(db):
        if await _abandoned(db):
            # Should two find it so at once, both may migrate: harmless, as files are harmless to repeat.
            await db.command("DROP TABLE IF EXISTS migrating SYNC")
            continue
        if time.monotonic() > until:
            raise OutageError(
                f"another `outerloop migrate` holds {db.database}.migrating for over {WAIT_SECONDS:g} s: wait"
                f" for it; if it is gone, `DROP TABLE {db.database}.migrating`"
            )
        await asyncio.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        await db.command("DROP TABLE IF EXISTS migrating SYNC")


async def _abandoned(db: ClickHouse) -> bool:
    rows = await db.query(
        "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'migrating'"
        " AND metadata_modification_time < now() - {seconds:UInt32}",
        seconds=int(ABANDONED_SECONDS),
    )
    return bool(rows)


async def _taken(db: ClickHouse) -> bool:
    try:
        await db.command("CREATE TABLE migrating (none UInt8) ENGINE = Memory")
    except DatabaseError as error:
        if error.code != _TABLE_ALREADY_EXISTS:
            raise
        return False
    return True


def _statements(sql: str) -> tuple[str, ...]:
    return tuple(s for part in sql.split(";\n") if (s := part.strip().removesuffix(";")))
