"""Table mode_escalations: when a mode's share of the traffic rose beyond chance. Writer: triage."""

from dataclasses import asdict, dataclass
from datetime import date, datetime

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """One rise: traces and failures in the mode before, and in the last `hours`."""

    agent: str
    mode_id: str
    day: date
    hours: int
    traces_before: int
    failures_before: int
    traces_now: int
    failures_now: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Rates:
    """A mode's traces of late, in how many spells of five minutes they failed, and before."""

    mode_id: str
    traces_before: int
    failures_before: int
    traces_now: int
    failures_now: int
    spells: int


# By the detector of the newest trace alone: what another one finds has not become more frequent.
_JUDGED = """
    FROM judged_traces FINAL
    WHERE agent = {agent:String} AND day >= toDate({start:DateTime64(3)})
      AND occurred_at >= {start:DateTime64(3)} AND occurred_at < {end:DateTime64(3)}
"""
_ALIKE = f"{_JUDGED} AND detector = (SELECT argMax(toString(detector), occurred_at) {_JUDGED})"
_RATES = f"""
SELECT mode_id, sumIf(n, NOT late) AS failures_before, sumIf(n, late) AS failures_now,
       sum(spells_late) AS spells, any(totals.1) AS traces_before, any(totals.2) AS traces_now
FROM (
    SELECT toString(mode_id) AS mode_id, occurred_at >= {{since:DateTime64(3)}} AS late, count() AS n,
           if(late, uniqExact(toStartOfFiveMinutes(occurred_at)), 0) AS spells_late
    {_ALIKE} AND failed
    GROUP BY mode_id, late
) AS f
CROSS JOIN (
    SELECT (countIf(occurred_at < {{since:DateTime64(3)}}), countIf(occurred_at >= {{since:DateTime64(3)}}))
           AS totals
    {_ALIKE}
) AS t
GROUP BY mode_id
"""  # noqa: S608 - our own text only


async def rates(
    db: ClickHouse, agent: str, *, start: datetime, since: datetime, end: datetime
) -> list[Rates]:
    """The modes of an agent that failed in [start, end): counts of before and from `since` on."""
    rows = await db.query(_RATES, agent=agent, start=start, since=since, end=end)
    return [Rates(**row) for row in rows]


async def known(db: ClickHouse, agent: str, day: date) -> set[str]:
    """The modes that have escalated on that day."""
    rows = await db.query(
        "SELECT DISTINCT mode_id FROM mode_escalations WHERE agent = {agent:String} AND day = {day:Date}",
        agent=agent,
        day=day,
    )
    return {row["mode_id"] for row in rows}


async def insert(db: ClickHouse, escalation: Escalation) -> None:
    """Store an escalation; another of the same mode and day replaces it."""
    await db.insert("mode_escalations", [asdict(escalation)])
