"""Table mode_rulings: what people decided of modes. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """One decision; `ruling` is merge, split, mute, unmute or open, `into_mode_id` as in `ModeRuled`."""

    agent: str
    ruling_id: str
    mode_id: str
    ruling: str
    into_mode_id: str = ""
    containing: str = ""
    title: str = ""
    why: str = ""
    ruled_by: str
    ruled_at: datetime


async def insert(db: ClickHouse, ruling: Ruling) -> None:
    """Store a ruling; the same one again changes nothing."""
    await db.insert("mode_rulings", [asdict(ruling)])


async def moving(db: ClickHouse, agents: Sequence[str]) -> dict[str, list[Ruling]]:
    """The merges and splits of these agents, by agent, in the order in which they were ruled."""
    rows = await db.query(
        "SELECT * FROM mode_rulings FINAL WHERE agent IN {agents:Array(String)}"
        " AND ruling IN ('merge', 'split') ORDER BY ruled_at, ruling_id",
        agents=list(agents),
    )
    found: dict[str, list[Ruling]] = {}
    for row in rows:
        found.setdefault(row["agent"], []).append(Ruling(**row))
    return found
