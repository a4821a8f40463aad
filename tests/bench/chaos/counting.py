"""What is there in the end, as queries return it and as rollups say."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError

_LOOK_SECONDS = 2.0
# What people read: a span that was stored again is there once with FINAL.
_SPANS = """
SELECT count() AS stored, uniqExact(TraceId, SpanId) AS spans, uniqExact(TraceId) AS traces
FROM otel_traces FINAL
"""
# By agent and day, as trends show them, beside the spans themselves.
_ROLLUPS = """
SELECT sum(abs(r.traces - t.traces)) AS error, sum(r.traces) AS rolled FROM
(
    SELECT ServiceName AS agent, uniqExact(TraceId) AS traces FROM otel_traces GROUP BY agent
) AS t
LEFT JOIN (SELECT agent, sum(traces) AS traces FROM agent_trends GROUP BY agent) AS r ON r.agent = t.agent
"""
_PROGRESS = """
SELECT (SELECT uniqExact(TraceId, SpanId) FROM otel_traces) AS spans,
       (SELECT count() FROM otel_traces) AS rows,
       (SELECT uniqExact(trace_id) FROM verdicts) AS judged
"""


async def until_stored(
    db: ClickHouse, spans: int, traces: int, within: float, say: Callable[[str], None]
) -> None:
    """Wait until all that was sent is stored and judged, or nothing has moved for a long time."""
    moved, before = time.monotonic(), dict[str, Any]()
    while time.monotonic() - moved < within:
        now = await _ask(db, _PROGRESS)
        if now and now != before:
            say(f"    {now['spans']} of {spans} spans are there, {now['judged']} of {traces} traces judged")
            moved = time.monotonic()
        elif now and now["spans"] >= spans and now["judged"] >= traces:
            return
        before = now or before
        await asyncio.sleep(_LOOK_SECONDS)


async def counted(db: ClickHouse, sent: int) -> dict[str, Any]:
    """What must be zero, and what it comes from."""
    found = (await db.query(_SPANS))[0]
    rollups = (await db.query(_ROLLUPS))[0]
    return {
        "sent": sent,
        "stored": found["stored"],
        "lost": sent - found["spans"],
        "duplicated": found["stored"] - found["spans"],
        "rollup_error": rollups["error"],
        "traces": found["traces"],
    }


async def _ask(db: ClickHouse, sql: str) -> dict[str, Any] | None:
    try:
        return (await db.query(sql))[0]
    except OutageError:
        return None
