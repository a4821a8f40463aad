"""Which stored traces a replay is about: read from otel_traces and verdicts, which others write."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from outerloop.runtime.clickhouse import ClickHouse

WINDOW = timedelta(hours=6)
# A trace is its agent's as triage says it: by the first span that names one, else by its service.
_TRACES = """
SELECT TraceId AS trace_id FROM
(
    SELECT
        TraceId,
        argMinIf(AgentName, Timestamp, AgentName != '') AS named,
        argMin(ServiceName, Timestamp) AS service,
        min(Timestamp) AS began
    FROM otel_traces
    WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
    GROUP BY TraceId
)
WHERE if(named != '', named, service) = {agent:String}
    AND ({as_of:String} = '' OR TraceId NOT IN (
        SELECT trace_id FROM verdicts FINAL WHERE agent = {agent:String} AND detector = {as_of:String}
    ))
ORDER BY began, TraceId
"""


@dataclass(frozen=True, slots=True)
class Period:
    """A time, from its beginning to just before its end."""

    begin: datetime
    end: datetime


async def traces(db: ClickHouse, agent: str, period: Period, as_of: str) -> AsyncIterator[list[str]]:
    """Ids of the agent's traces with spans in that time, a part of the time after the other; each id once.

    Of these only the ones whose verdict is not by the detector `as_of`, if that is given.
    """
    before: set[str] = set()
    since = period.begin
    while since < period.end:
        end = min(since + WINDOW, period.end)
        rows = await db.query(_TRACES, agent=agent, since=since, until=end, as_of=as_of)
        found = [row["trace_id"] for row in rows]
        yield [trace_id for trace_id in found if trace_id not in before]
        before = set(found)  # a trace may reach into the next part
        since = end
