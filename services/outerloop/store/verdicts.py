"""Table verdicts: one row a judged trace, good or bad. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.trace.signal import Signal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was made of one trace. `mode_id` and `span_id` are "" when it did not fail."""

    agent: str
    agent_version: str
    trace_id: str
    failed: bool
    mode_id: str
    span_id: str
    signals: tuple[Signal, ...]
    detector: str
    occurred_at: datetime
    judged_at: datetime


async def insert(db: ClickHouse, verdicts: Sequence[Verdict]) -> None:
    """Store verdicts; a newer one for the same trace replaces the older."""
    rows = [asdict(v) | {"signals": [tuple(asdict(s).values()) for s in v.signals]} for v in verdicts]
    await db.insert("verdicts", rows)


async def failing(db: ClickHouse, mode_id: str, at_most: int) -> list[tuple[str, tuple[Signal, ...]]]:
    """Failing traces of a mode with their signals, the oldest first."""
    rows = await db.query(
        "SELECT trace_id, signals FROM failures WHERE mode_id = {mode:String}"
        " ORDER BY occurred_at, trace_id LIMIT {most:UInt32}",
        mode=mode_id,
        most=at_most,
    )
    return [(row["trace_id"], _signals(row["signals"])) for row in rows]


async def healthy(db: ClickHouse, agent: str, at_most: int) -> list[str]:
    """Traces of an agent that were judged good, the newest first."""
    rows = await db.query(
        "SELECT trace_id FROM verdicts FINAL WHERE agent = {agent:String} AND NOT failed"
        " ORDER BY occurred_at DESC, trace_id LIMIT {most:UInt32}",
        agent=agent,
        most=at_most,
    )
    return [row["trace_id"] for row in rows]


async def failing_otherwise(
    db: ClickHouse, agent: str, mode_id: str, *, each: int, at_most: int
) -> list[str]:
    """Failing traces of an agent's other modes, the newest first; of one mode at most `each`."""
    rows = await db.query(
        "SELECT trace_id FROM failures WHERE agent = {agent:String} AND mode_id != {mode:String}"
        " ORDER BY occurred_at DESC, trace_id LIMIT {each:UInt32} BY mode_id LIMIT {most:UInt32}",
        agent=agent,
        mode=mode_id,
        each=each,
        most=at_most,
    )
    return [row["trace_id"] for row in rows]


async def amounts(db: ClickHouse, agent: str, mode_id: str) -> tuple[int, int]:
    """How many traces failed in a mode, and how many of its agent were judged good."""
    (row,) = await db.query(
        "SELECT countIf(failed AND mode_id = {mode:String}) AS failing, countIf(NOT failed) AS healthy"
        " FROM verdicts FINAL WHERE agent = {agent:String}",
        agent=agent,
        mode=mode_id,
    )
    return row["failing"], row["healthy"]


async def counts(db: ClickHouse, mode_ids: Sequence[str]) -> dict[str, int]:
    """Failing traces of each of these modes."""
    rows = await db.query(
        "SELECT mode_id, count() AS n FROM failures WHERE mode_id IN {modes:Array(String)} GROUP BY mode_id",
        modes=list(mode_ids),
    )
    return {row["mode_id"]: row["n"] for row in rows}


def _signals(rows: Sequence[Any]) -> tuple[Signal, ...]:
    return tuple(Signal(**row) if isinstance(row, dict) else Signal(*row) for row in rows)
