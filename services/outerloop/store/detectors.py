"""Tables detectors and detector_decisions: what was learned for each agent, who judges it. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse

# The rules alone, whichever they are.
RULES = "rules"
_MEASURES = (
    "agent, version, detector, ready, labels, good, by_people, called, right, missed, rules_called,"
    " rules_right, rules_missed, learned_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One detector as it was learned, and how it was measured; see migration 0027."""

    agent: str
    version: str
    detector: str
    ready: bool
    labels: int
    good: int
    by_people: int
    called: int
    right: int
    missed: int
    rules_called: int
    rules_right: int
    rules_missed: int
    learned_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """That a detector judges from now on (`adopted`), or that it does not."""

    agent: str
    decision_id: str
    version: str
    adopted: bool
    decided_by: str
    reason: str
    decided_at: datetime


async def insert(db: ClickHouse, learned: Learned, state: str) -> None:
    """Store a detector with its `state`, as JSON; it never changes: the same version has seen the same."""
    await db.insert("detectors", [asdict(learned) | {"state": state}])


async def of_agent(db: ClickHouse, agent: str) -> list[Learned]:
    """What was learned for an agent ("": for any), the newest first."""
    rows = await db.query(
        f"SELECT {_MEASURES} FROM detectors FINAL"  # noqa: S608 - our own text only
        " WHERE {agent:String} = '' OR agent = {agent:String} ORDER BY learned_at DESC, version",
        agent=agent,
    )
    return [Learned(**row) for row in rows]


async def state(db: ClickHouse, agent: str, version: str) -> str | None:
    """The state of a detector; None where there is no such one."""
    rows = await db.query(
        "SELECT state FROM detectors FINAL WHERE agent = {agent:String} AND version = {version:String}",
        agent=agent,
        version=version,
    )
    return str(rows[0]["state"]) if rows else None


async def decide(db: ClickHouse, decision: Decision) -> None:
    """Store a decision; the same one again changes nothing."""
    await db.insert("detector_decisions", [asdict(decision)])


async def decisions(db: ClickHouse, agent: str) -> list[Decision]:
    """What was decided for an agent ("": for any), the newest first."""
    rows = await db.query(
        "SELECT * FROM detector_decisions FINAL WHERE {agent:String} = '' OR agent = {agent:String}"
        " ORDER BY decided_at DESC, decision_id",
        agent=agent,
    )
    return [Decision(**row) for row in rows]


async def in_use(db: ClickHouse, agents: Sequence[str]) -> dict[str, str]:
    """The version that was adopted last for each of these agents; none: the rules alone."""
    rows: list[dict[str, Any]] = await db.query(
        "SELECT agent, argMax(version, (decided_at, decision_id)) AS version FROM detector_decisions FINAL"
        " WHERE agent IN {agents:Array(String)} AND adopted GROUP BY agent",
        agents=list(agents),
    )
    return {row["agent"]: row["version"] for row in rows}


async def watched(db: ClickHouse, agents: Sequence[str]) -> dict[str, list[str]]:
    """By which detectors the releases of these agents are measured that still stand; the newest first."""
    rows = await db.query(
        "SELECT agent, detector, max(released_at) AS at FROM releases FINAL ARRAY JOIN detectors AS detector"
        " WHERE agent IN {agents:Array(String)}"
        " AND state NOT IN ('rolled back', 'not on the branch')"
        " GROUP BY agent, detector ORDER BY at DESC, detector",
        agents=list(agents),
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["agent"], []).append(row["detector"])
    return found
