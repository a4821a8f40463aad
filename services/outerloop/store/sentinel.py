"""Table sentinel_days: what daily trials of the release have shown. Writer: gate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One stratum on one day; see the migration."""

    agent: str
    day: date
    stratum: str
    commit: str
    passed: int
    trials: int
    evidence: tuple[float, ...]
    days: int
    alarm: bool
    at: datetime


async def latest(db: ClickHouse, agent: str) -> dict[str, Day]:
    """The last day of each stratum."""
    rows = await db.query(
        "SELECT * FROM sentinel_days FINAL WHERE agent = {agent:String} ORDER BY day DESC LIMIT 1 BY stratum",
        agent=agent,
    )
    return {row["stratum"]: Day(**row | {"evidence": tuple(row["evidence"])}) for row in rows}


async def insert(db: ClickHouse, days: Sequence[Day]) -> None:
    """Store a day; the same day again replaces itself."""
    await db.insert("sentinel_days", [asdict(day) | {"evidence": list(day.evidence)} for day in days])
