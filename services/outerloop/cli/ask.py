"""Commands for looking: how the loop stands, which failure modes there are, and any SQL."""

import asyncio
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.exceptions import DatabaseError

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.kafka import backlog
from outerloop.cli.letters import dead_letter_topics
from outerloop.cli.output import AsJson
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
    (SELECT count() FROM evals FINAL WHERE state = 'drafted') AS evals_to_review,
    (SELECT count() FROM changes FINAL WHERE state = 'proposed') AS changes,
    (SELECT count() FROM decisions FINAL WHERE verdict = 'ship') AS shipped,
    (SELECT count() FROM decisions FINAL WHERE verdict = 'reject') AS rejected,
    (SELECT count() FROM trials FINAL) AS trials
"""
_MODES = """
SELECT agent, mode_id, title, state, detail, failures, first_seen, last_seen, versions, examples
FROM failure_modes
WHERE ({agent:String} = '' OR agent = {agent:String}) AND ({all:Bool} OR state != 'emerging')
ORDER BY failures DESC, title
"""


def status(*, as_json: AsJson = False) -> None:
    """How the loop stands: what is stored, what waits in Kafka, what was dead-lettered."""
    found = output.run(_status(common()))
    if as_json:
        output.emit(found)
        return
    for section, values in found.items():
        rows = [{section: name, "": value} for name, value in values.items()]
        output.report(rows, as_json=False, empty=f"{section}: nothing")


def modes(
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    everything: Annotated[bool, typer.Option("--all", help="also those seen too rarely to act on")] = False,
    as_json: AsJson = False,
) -> None:
    """Failure modes: what goes wrong, how often, since when, with example traces."""
    rows = output.run(_query(_MODES, agent=agent, all=everything))
    shown = rows if as_json else [_brief(row) for row in rows]
    hint = "" if everything else "; `outerloop modes --all` shows causes seen only once or twice"
    output.report(shown, as_json=as_json, empty=f"no failure modes{hint}")


def sql(query: Annotated[str, typer.Argument(help="a SELECT")], *, as_json: AsJson = False) -> None:
    """Ask ClickHouse anything; the tables are described in the README."""
    output.report(output.run(_query(query)), as_json=as_json, empty="no rows")


async def _query(sql: str, **parameters: Any) -> list[dict[str, Any]]:
    db = ClickHouse(common())
    try:
        return await db.query(sql, **parameters)
    except DatabaseError as error:
        raise UserError(f"ClickHouse says: {error}") from error
    finally:
        await db.close()


async def _status(settings: Settings) -> dict[str, dict[str, Any]]:
    stored = (await _query(_COUNTS))[0]
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
    return {"stored": stored, "records_waiting": waiting, "dead_letters": dead}


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "mode": row["mode_id"][:8],
        "agent": row["agent"],
        "state": row["state"],
        "failures": row["failures"],
        "last_seen": row["last_seen"],
        "title": row["title"] + (f" ({row['detail']})" if row["detail"] else ""),
        "example": (row["examples"] or [""])[0],
    }
