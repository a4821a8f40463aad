"""Table trace_outliers: traces that took or cost more than is usual for their agent. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierRow:
    """One; see migration 0031."""

    agent: str
    day: date
    trace_id: str
    kind: str
    subject: str
    span_id: str
    value: float
    usual: float
    judged_at: datetime


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a trace took: seconds, tokens and dollars."""

    seconds: float
    tokens: float
    usd: float


async def insert(db: ClickHouse, rows: Sequence[OutlierRow]) -> None:
    """Store outliers; the same trace's newer one of a kind replaces the older."""
    if rows:
        await db.insert("trace_outliers", [asdict(row) for row in rows])


async def newest(db: ClickHouse, agent: str, at_most: int) -> list[Amounts]:
    """What some traces of an agent took, of the newest days: read from the end of the order, no scan."""
    rows = await db.query(
        "SELECT seconds, toFloat64(input_tokens + output_tokens) AS tokens, usd FROM judged_traces"
        " WHERE agent = {agent:String} AND gone = 0 ORDER BY day DESC, trace_id DESC LIMIT {most:UInt32}",
        agent=agent,
        most=at_most,
    )
    return [Amounts(**row) for row in rows]
