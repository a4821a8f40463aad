"""Table settlements: which traces were handed to triage, and what was known of them. Writer: ingest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outerloop.runtime.clickhouse import ClickHouse

# How far back a starting ingest looks for traces that another one left unsettled. A trace that was settled
# longer ago may be gone by now (TTL, deletion); a younger one must be there.
LOOK_BACK_DAYS = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """What is stored of a trace. `revision` changes when a span or an evaluation result is added."""

    trace_id: str
    revision: str
    agent: str
    agent_version: str
    service: str
    spans: int
    started_at: datetime
    through: datetime


_SUMMARY = """
SELECT s.TraceId AS trace_id,
       concat(toString(s.spans), '-', hex(s.content), '-', hex(ifNull(e.content, 0))) AS revision,
       s.agent AS agent, s.agent_version AS agent_version, s.service AS service, s.spans AS spans,
       s.started_at AS started_at, greatest(s.through, ifNull(e.through, s.through)) AS through
FROM (
    SELECT TraceId, uniqExact(SpanId) AS spans, groupBitXor(cityHash64(SpanId)) AS content,
           argMinIf(AgentName, Timestamp, AgentName != '') AS agent,
           argMinIf(AgentVersion, Timestamp, AgentVersion != '') AS agent_version,
           argMin(ServiceName, Timestamp) AS service, min(Timestamp) AS started_at, max(StoredAt) AS through
    FROM otel_traces FINAL WHERE TraceId IN {ids:Array(String)} GROUP BY TraceId
) AS s
LEFT JOIN (
    SELECT trace_id, -- A hash over a NULL is NULL: a result without a score would count for nothing.
           groupBitXor(cityHash64(span_id, name, source, label, ifNull(toString(score), ''), explanation))
               AS content,
           max(stored_at) AS through
    FROM evaluations FINAL WHERE trace_id IN {ids:Array(String)} GROUP BY trace_id
) AS e ON e.trace_id = s.TraceId
"""
# Of a trace that is settled now, `through` is later than anything that is stored of it.
_UNSETTLED = """
SELECT TraceId AS trace_id, max(rooted) AS rooted FROM (
    SELECT TraceId, max(StoredAt) AS through, max(ParentSpanId = '') AS rooted FROM otel_traces
    WHERE StoredAt >= {begin:DateTime64(3, 'UTC')} AND StoredAt < {end:DateTime64(3, 'UTC')} GROUP BY TraceId
    UNION ALL
    SELECT trace_id, max(stored_at), false FROM evaluations
    WHERE stored_at >= {begin:DateTime64(3, 'UTC')} AND stored_at < {end:DateTime64(3, 'UTC')}
    GROUP BY trace_id
) AS stored
LEFT JOIN (
    SELECT trace_id, max(s.through) AS through FROM settlements AS s
    WHERE s.through >= {begin:DateTime64(3, 'UTC')} GROUP BY trace_id
) AS settled ON settled.trace_id = stored.TraceId
WHERE stored.through > ifNull(settled.through, toDateTime64(0, 3))
GROUP BY TraceId
LIMIT {most:UInt32}
"""


_BUSY = """
SELECT at, sum(n) AS rows FROM (
    SELECT toStartOfInterval(StoredAt, toIntervalSecond({step:UInt32})) AS at, count() AS n FROM otel_traces
    WHERE StoredAt >= {begin:DateTime64(3, 'UTC')} AND StoredAt < {end:DateTime64(3, 'UTC')} GROUP BY at
    UNION ALL
    SELECT toStartOfInterval(stored_at, toIntervalSecond({step:UInt32})) AS at, count() AS n FROM evaluations
    WHERE stored_at >= {begin:DateTime64(3, 'UTC')} AND stored_at < {end:DateTime64(3, 'UTC')} GROUP BY at
) GROUP BY at ORDER BY at DESC
"""


async def summaries(db: ClickHouse, trace_ids: Sequence[str]) -> list[Summary]:
    """What is stored of these traces; an id of which nothing is stored is left out."""
    rows = await db.query(_SUMMARY, ids=list(trace_ids))
    return [Summary(**row) for row in rows]


async def unsettled(db: ClickHouse, begin: datetime, end: datetime, most: int) -> dict[str, bool]:
    """Traces of which something stored within that time is covered by no settlement: id -> root has come."""
    rows = await db.query(_UNSETTLED, begin=begin, end=end, most=most)
    return {row["trace_id"]: bool(row["rooted"]) for row in rows}


async def busy(db: ClickHouse, begin: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, int]]:
    """Where times of length `step` begin in which something was stored, and how many rows; latest first."""
    rows = await db.query(_BUSY, begin=begin, end=end, step=int(step.total_seconds()))
    return [(row["at"], int(row["rows"])) for row in rows]


async def known(db: ClickHouse, settled: Sequence[Summary]) -> set[tuple[str, str]]:
    """(trace id, revision) of those that were handed to triage before."""
    rows = await db.query(
        "SELECT DISTINCT trace_id, revision FROM settlements WHERE trace_id IN {ids:Array(String)}",
        ids=[summary.trace_id for summary in settled],
    )
    return {(row["trace_id"], row["revision"]) for row in rows}


async def insert(db: ClickHouse, settled: Sequence[Summary]) -> None:
    """Record that these were handed to triage; a trace that names no agent is its service's."""
    rows = [
        {name: getattr(s, name) for name in ("trace_id", "revision", "spans", "through")}
        | {"agent": s.agent or s.service}
        for s in settled
    ]
    await db.insert("settlements", rows)
