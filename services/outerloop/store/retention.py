"""Traces that have been kept for long enough go, by agent. Writer: ingest, whose tables these are.

A trace is as old as what was stored of it last, so one that is backfilled is kept as long as one that came
today. Parts are rewritten without it: a day's traces at a time, as that costs as much as a merge. What triage
has made of it (verdicts, counts, modes) stays.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from outerloop.runtime.clickhouse import ClickHouse

# A trace's agent and age are told by its settlements: those stay until the deletion surely is done.
_SETTLEMENTS_LONGER = timedelta(days=7)
_EXPIRED = """
SELECT trace_id FROM settlements
WHERE if({named:String} != '', agent = {named:String}, agent NOT IN {others:Array(String)})
GROUP BY trace_id HAVING max(through) < {before:DateTime64(3, 'UTC')}
"""
_TABLES = {"otel_traces": "TraceId", "evaluations": "trace_id"}
# A replicated table wants to be told that the subquery means the same everywhere.
_SETTINGS = "SETTINGS mutations_sync = 0, allow_nondeterministic_mutations = 1"


async def expire(db: ClickHouse, days: Mapping[str, int], otherwise: int, now: datetime) -> int:
    """Have traces deleted that are older than `days` of their agent, or `otherwise` (0: never); how many.

    ClickHouse does it when it has time; what was asked for before and is not done yet counts again.
    """
    rules = {**days, "": otherwise}
    found = 0
    for agent, kept in rules.items():
        if kept:
            found += await _expire(db, agent, [a for a in rules if a], now - timedelta(days=kept))
    return found


async def _expire(db: ClickHouse, agent: str, others: list[str], before: datetime) -> int:
    said = {"named": agent, "others": others, "before": before}
    sql = f"SELECT uniqExact(TraceId) AS n FROM otel_traces WHERE TraceId IN ({_EXPIRED})"  # noqa: S608 - ours
    expired = int((await db.query(sql, **said))[0]["n"])
    if expired:
        for table, column in _TABLES.items():
            await db.command(f"ALTER TABLE {table} DELETE WHERE {column} IN ({_EXPIRED}) {_SETTINGS}", **said)
    late = said | {"before": before - _SETTLEMENTS_LONGER}
    (row,) = await db.query(f"SELECT count() AS n FROM ({_EXPIRED})", **late)  # noqa: S608 - ours
    if row["n"]:
        await db.command(f"ALTER TABLE settlements DELETE WHERE trace_id IN ({_EXPIRED}) {_SETTINGS}", **late)
    return expired
