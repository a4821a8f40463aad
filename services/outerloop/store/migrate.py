"""Apply the migrations: plain forward-only SQL, in order of number, each recorded when done.

A migration consists of statements that are harmless to repeat (IF NOT EXISTS), because ClickHouse has no
transaction around them: a crash between a statement and its record runs the file again.
"""

from dataclasses import dataclass
from importlib import resources

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings


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
        done = {row["name"] for row in await db.query("SELECT name FROM migrations")}
        pending = [m for m in migrations() if m.name not in done]
        for migration in pending:
            for statement in migration.statements:
                await db.command(statement)
            await db.insert("migrations", [{"name": migration.name}])
        return [m.name for m in pending]
    finally:
        await db.close()


def _statements(sql: str) -> tuple[str, ...]:
    return tuple(s for part in sql.split(";\n") if (s := part.strip().removesuffix(";")))
