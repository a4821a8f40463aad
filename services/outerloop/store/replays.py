"""Which stored traces a replay is about: read from otel_traces and verdicts, which others write."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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


# Times of the length of WINDOW with anything in them: a period may be of years that are empty.
_BUSY = """
SELECT DISTINCT intDiv(toUnixTimestamp64Second(Timestamp), {step:UInt32}) * {step:UInt32} AS at
FROM otel_traces
WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')} ORDER BY at
"""


@dataclass(frozen=True, slots=True)
class Period:
    """A time, from its beginning to just before its end."""

    begin: datetime
    end: datetime


async def traces(
    db: ClickHouse, agent: str, period: Period, as_of: str
) -> AsyncIterator[tuple[datetime, list[str]]]:
    """Ids of the agent's traces with spans in that time, a part of the time after the other; each id once.

    Of these only the ones whose verdict is not by the detector `as_of`, if that is given. Each part comes
    with its end.
    """
    before: set[str] = set()
    step = int(WINDOW.total_seconds())
    for row in await db.query(_BUSY, since=period.begin, until=period.end, step=step):
        at = datetime.fromtimestamp(row["at"], UTC)
        since, end = max(at, period.begin), min(at + WINDOW, period.end)
        rows = await db.query(_TRACES, agent=agent, since=since, until=end, as_of=as_of)
        found = [row["trace_id"] for row in rows]
        yield end, [trace_id for trace_id in found if trace_id not in before]
        before = set(found)  # a trace may reach into the next part
