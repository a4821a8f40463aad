"""Commands for the SRE: run a service, migrate the schema, show topics and settings."""

import asyncio
import importlib
from enum import StrEnum
from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings, known_variables, load
from outerloop.store import system_logs


class Name(StrEnum):
    """The five services."""

    INGEST = "ingest"
    TRIAGE = "triage"
    DRAFT = "draft"
    PROPOSE = "propose"
    GATE = "gate"


def load_services() -> dict[str, Any]:
    """The app module of every service, which declares what it consumes; their settings become known."""
    return {name.value: importlib.import_module(f"outerloop.{name.value}.app") for name in Name}


def run(name: Annotated[Name, typer.Argument(help="which service")]) -> None:
    """Run one service until SIGTERM; settings come from OUTERLOOP_* variables (see `outerloop settings`)."""
    from outerloop.runtime import service  # noqa: PLC0415 - the other commands need not wait for its imports

    # This one alone: a service needs no extra of another one.
    module = importlib.import_module(f"outerloop.{name.value}.app")
    settings = load(module.SETTINGS)
    asyncio.run(service.run(settings, name.value, lambda bus, db: module.wire(settings, bus, db)))


def migrate(*, as_json: AsJson = False) -> None:
    """Create or upgrade the ClickHouse schema; forward only, harmless to repeat."""
    from outerloop.store.migrate import migrate as apply  # noqa: PLC0415 - see run

    applied = output.run(apply(common()))
    limited, refused = output.run(_limit_logs(common()))
    if as_json:
        output.emit({"applied": applied})
    else:
        output.say(f"applied {', '.join(applied)}" if applied else "the schema is up to date")
    days = f"{common().clickhouse_log_days} days (OUTERLOOP_CLICKHOUSE_LOG_DAYS)"
    if limited:
        output.say(f"ClickHouse keeps {', '.join(limited)} for {days} from now on, not for ever")
    if refused:
        output.say(
            f"{', '.join(refused)} grow for ever, and our user may not change that:"
            f" have whoever runs ClickHouse give them a TTL, of {days}"
        )


async def _limit_logs(settings: Settings) -> tuple[list[str], list[str]]:
    db = ClickHouse(settings)
    try:
        return await system_logs.limit(db, settings.clickhouse_log_days)
    finally:
        await db.close()


def topics(
    *,
    create: Annotated[bool, typer.Option("--create", help="create those that are missing in Kafka")] = False,
    replication_factor: Annotated[int, typer.Option(min=1, help="of the topics that are created")] = 1,
    as_json: AsJson = False,
) -> None:
    """The topics of the loop, as the contracts declare them, and who reads them."""
    from outerloop.cli.kafka import create_topics  # noqa: PLC0415 - see run
    from outerloop.runtime.topics import dead_letter_topic  # noqa: PLC0415 - see run
    from outerloop.runtime.topics import topics as declared  # noqa: PLC0415 - see run

    apps = load_services()
    readers = {t: [name for name, app in apps.items() if t in app.CONSUMES] for t in declared()}
    specs = declared().values()
    if create:
        partitions = {spec.name: spec.partitions for spec in specs}
        partitions |= {dead_letter_topic(t, reader): 1 for t, names in readers.items() for reader in names}
        configs = {spec.name: spec.configs for spec in specs}
        created = output.run(create_topics(common(), partitions, replication_factor, configs))
        output.say(f"created {len(created)} topics; {len(partitions) - len(created)} were there")
    rows = [
        {
            "topic": spec.name,
            "message": spec.message.rpartition(".")[2],
            "key": spec.key or "the sender's",
            "partitions": spec.partitions,
            "retention": spec.retention,
            "configs": spec.configs,
            "writer": spec.writer,
            "readers": readers[spec.name],
            "groups": {
                name: f"outerloop-{getattr(app, 'GROUPS', {}).get(spec.name, name)}"
                for name, app in apps.items()
                if spec.name in app.CONSUMES
            },
            "hear": [name for name, app in apps.items() if spec.name in getattr(app, "HEARS", ())],
            "dead_letters": [dead_letter_topic(spec.name, reader) for reader in readers[spec.name]],
            "purpose": spec.purpose,
        }
        for spec in specs
    ]
    extra = {"dead_letters", "hear", "configs", "groups"}
    shown = rows if as_json else [{k: v for k, v in row.items() if k not in extra} for row in rows]
    output.report(shown, as_json=as_json, empty="no topics")


def settings(*, as_json: AsJson = False) -> None:
    """Every OUTERLOOP_* variable that a service understands."""
    load_services()
    rows = [{"variable": name, "meaning": meaning} for name, meaning in sorted(known_variables().items())]
    output.report(rows, as_json=as_json, empty="no settings")
