"""Commands for looking: how the loop stands, and any SQL."""

import asyncio
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.exceptions import DatabaseError

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.kafka import backlog
from outerloop.cli.letters import dead_letter_topics
from outerloop.cli.output import AsJson
from outerloop.cli.pause import paused
from outerloop.cli.service import load_services
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings

_COUNTS = """
SELECT
    (SELECT uniqExact(TraceId, SpanId) FROM otel_traces) AS spans,
    (SELECT uniqExact(TraceId) FROM otel_traces) AS traces,
    (SELECT count() FROM verdicts FINAL) AS judged,
    (SELECT count() FROM failures) AS failures,
    (SELECT count() FROM failure_modes WHERE state != 'emerging') AS modes,
    (SELECT count() FROM failure_modes WHERE state = 'closed') AS modes_closed,
    (SELECT count() FROM evals FINAL WHERE state != 'undraftable') AS evals,
    (SELECT count() FROM changes FINAL WHERE state = 'proposed') AS changes,
    (SELECT count() FROM decisions FINAL WHERE verdict = 'ship') AS shipped,
    (SELECT count() FROM decisions FINAL WHERE verdict = 'reject') AS rejected,
    (SELECT count() FROM trials FINAL) AS trials
"""
# What nobody goes on with but a person, or nobody has for an hour: perhaps a setting is missing.
STANDS_STILL = """
SELECT
    (SELECT count() FROM failure_modes WHERE state = 'parked') AS modes_parked,
    (SELECT count() FROM evals FINAL WHERE state = 'drafted') AS evals_to_review,
    (
        SELECT count() FROM evals FINAL
        WHERE state = 'accepted' AND reproduction != 'not reproduced' AND at < now64(3) - toIntervalHour(1)
          AND (agent, eval_id) NOT IN (SELECT agent, eval_id FROM changes)
          AND mode_id NOT IN (SELECT mode_id FROM failure_modes WHERE state = 'muted')
    ) AS evals_without_a_change,
    (
        SELECT count() FROM changes FINAL
        WHERE state = 'proposed' AND at < now64(3) - toIntervalHour(1)
          AND change_id NOT IN (SELECT change_id FROM decisions)
    ) AS changes_without_a_verdict
"""


def status(*, as_json: AsJson = False) -> None:
    """How the loop stands: what is stored, waits for people or in Kafka, is paused, was dead-lettered."""
    found = output.run(_status(common()))
    if as_json:
        output.emit(found)
        return
    for section, values in found.items():
        rows = [{section: name, "": value} for name, value in values.items()]
        output.report(rows, as_json=False, empty=f"{section}: nothing")


def sql(
    statement: Annotated[str, typer.Argument(help="a SELECT", metavar="QUERY")],
    *,
    param: Annotated[
        list[str] | None, typer.Option("--param", help="NAME=VALUE for {NAME:Type} in the query; repeatable")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask ClickHouse anything; the views are described in the README."""
    given: dict[str, str] = {}
    for item in param or ():
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--param {item}: must be NAME=VALUE")
        given[name] = value
    output.report(output.run(query(statement, **given)), as_json=as_json, empty="no rows")


async def query(statement: str, /, **parameters: Any) -> list[dict[str, Any]]:
    """Rows of a SELECT."""
    db = ClickHouse(common())
    try:
        return await db.query(statement, **parameters)
    except DatabaseError as error:
        raise UserError(f"ClickHouse says: {error}") from error
    finally:
        await db.close()


async def _status(settings: Settings) -> dict[str, dict[str, Any]]:
    stored = (await query(_COUNTS))[0]
    apps = load_services()
    asked = [
        (name, topic, getattr(app, "GROUPS", {}).get(topic, name))
        for name, app in apps.items()
        for topic in app.CONSUMES
    ]
    backlogs = await asyncio.gather(
        *(backlog(settings, f"outerloop-{group}", [topic]) for _, topic, group in asked)
    )
    waiting = dict.fromkeys(apps, 0)
    for (name, _, _), found in zip(asked, backlogs, strict=True):
        waiting[name] += sum(found.values())
    letters = await backlog(settings, "outerloop-dlq", dead_letter_topics())
    dead = {topic: n for topic, n in letters.items() if n}
    still = (await query(STANDS_STILL))[0]
    return {
        "stored": stored,
        "stands_still": still,
        "paused": await paused(settings),
        "records_waiting": waiting,
        "dead_letters": dead,
    }
