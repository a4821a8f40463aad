"""Tables verdicts and judged_traces: one row a judged trace, good or bad. Writer: triage.

The second is the first, by agent and day: a view on the first fills it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.trace.signal import Signal


@dataclass(frozen=True, slots=True)
class Beside:
    """What another detector made of the same trace; `mode_id` is "" where it is no failure to it."""

    detector: str
    mode_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was made of one trace. `mode_id` and `span_id` are "" when it did not fail.

    `detected` is what the detector itself said, where a person has said otherwise; None: `failed`. `score` is
    from 0 (good) to 1. The rest is what the trace went through and what it cost: see migration 0016.
    """

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
    detected: bool | None = None
    score: float | None = None
    model: str = ""
    tool: str = ""
    tools: tuple[str, ...] = ()
    spans: int = 0
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    unpriced_tokens: int = 0
    beside: tuple[Beside, ...] = ()


async def insert(db: ClickHouse, verdicts: Sequence[Verdict]) -> None:
    """Store verdicts; a newer one for the same trace replaces the older."""
    if not verdicts:
        return
    await _take_back(db, {v.trace_id: v for v in verdicts})
    await db.insert("verdicts", [_row(v) for v in verdicts])


def _row(verdict: Verdict) -> dict[str, Any]:
    row = asdict(verdict) | {
        name: [tuple(asdict(each).values()) for each in getattr(verdict, name)]
        for name in ("signals", "beside")
    }
    row["detected"] = verdict.failed if verdict.detected is None else verdict.detected
    row["score"] = float(verdict.failed) if verdict.score is None else verdict.score
    return row


async def _take_back(db: ClickHouse, verdicts: Mapping[str, Verdict]) -> None:
    """Mark as gone what stands in judged_traces under another agent or day than these verdicts have."""
    earlier = await db.query(
        "SELECT DISTINCT trace_id, agent, toDate(occurred_at) AS day FROM verdicts"
        " WHERE trace_id IN {traces:Array(String)}",
        traces=list(verdicts),
    )
    gone = [
        row | {"judged_at": verdict.judged_at, "gone": 1}
        for row in earlier
        if (verdict := verdicts[row["trace_id"]])
        and (row["agent"], row["day"]) != (verdict.agent, verdict.occurred_at.date())
    ]
    await db.insert("judged_traces", gone)


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


async def counts(db: ClickHouse, agent: str, mode_ids: Sequence[str]) -> dict[str, int]:
    """Failing traces of each of these modes of an agent."""
    rows = await db.query(
        "SELECT mode_id, count() AS n FROM judged_traces FINAL WHERE agent = {agent:String} AND failed"
        " AND mode_id IN {modes:Array(String)} GROUP BY mode_id",
        agent=agent,
        modes=list(mode_ids),
    )
    return {row["mode_id"]: row["n"] for row in rows}


async def count_since(db: ClickHouse, agent: str, mode_id: str, since: datetime) -> int:
    """Failing traces of a mode that began since then."""
    (row,) = await db.query(
        "SELECT count() AS n FROM judged_traces FINAL WHERE agent = {agent:String} AND failed"
        " AND mode_id = {mode:String} AND day >= toDate({since:DateTime64(3)})"
        " AND occurred_at >= {since:DateTime64(3)}",
        agent=agent,
        mode=mode_id,
        since=since,
    )
    return int(row["n"])


async def latest_failure(db: ClickHouse, agent: str, mode_id: str) -> datetime | None:
    """When the newest failing trace of a mode began."""
    rows = await db.query(
        "SELECT occurred_at FROM judged_traces FINAL WHERE agent = {agent:String} AND failed"
        " AND mode_id = {mode:String} ORDER BY day DESC, occurred_at DESC LIMIT 1",
        agent=agent,
        mode=mode_id,
    )
    return rows[0]["occurred_at"] if rows else None


async def agents(db: ClickHouse) -> list[str]:
    """The agents of which traces were judged."""
    return [row["agent"] for row in await db.query("SELECT DISTINCT agent FROM judged_traces ORDER BY agent")]


async def of_traces(db: ClickHouse, trace_ids: Sequence[str]) -> dict[str, Verdict]:
    """The verdicts on these traces, by trace."""
    rows = await db.query(
        "SELECT * FROM verdicts FINAL WHERE trace_id IN {traces:Array(String)}", traces=list(trace_ids)
    )
    return {row["trace_id"]: _verdict(row) for row in rows}


async def beginning_with(db: ClickHouse, trace_id: str) -> list[Verdict]:
    """Verdicts on traces whose id begins so; two are enough to see that it is not one."""
    rows = await db.query(
        "SELECT trace_id FROM verdicts WHERE startsWith(trace_id, {id:String}) GROUP BY trace_id LIMIT 2",
        id=trace_id,
    )
    return list((await of_traces(db, [row["trace_id"] for row in rows])).values())


async def move(db: ClickHouse, mode_id: str, into: str, containing: str = "") -> None:
    """Give failures of a mode to another one: those whose first sign has this text in it, in any case."""
    await db.command(
        # A query of its own inside: REPLACE gives names that the condition would take for the columns.
        # Later than the verdict that it replaces, though that one's worker may have a clock that is ahead.
        "INSERT INTO verdicts SELECT * REPLACE ({into:String} AS mode_id,"
        " greatest(now64(3), judged_at + toIntervalMillisecond(1)) AS judged_at) FROM"
        " (SELECT * FROM verdicts FINAL WHERE failed AND mode_id = {mode:String} AND"
        " ({text:String} = '' OR positionCaseInsensitiveUTF8(signals[1].detail, {text:String}) > 0))",
        mode=mode_id,
        into=into,
        text=containing,
    )
    moves = (
        "b.2 = {mode:String} AND ({text:String} = '' OR positionCaseInsensitiveUTF8(b.3, {text:String}) > 0)"
    )
    await db.command(
        "INSERT INTO verdicts SELECT * REPLACE ("  # noqa: S608 - our own text only
        f" arrayMap(b -> if({moves}, (b.1, {{into:String}}, b.3), b), beside) AS beside,"
        " greatest(now64(3), judged_at + toIntervalMillisecond(1)) AS judged_at) FROM"
        f" (SELECT * FROM verdicts FINAL WHERE arrayExists(b -> {moves}, beside))",
        mode=mode_id,
        into=into,
        text=containing,
    )


async def newest(db: ClickHouse, agent: str, at_most: int) -> list[str]:
    """The agent's judged traces that began last, the newest first."""
    rows = await db.query(
        "SELECT trace_id FROM judged_traces FINAL WHERE agent = {agent:String}"
        " ORDER BY occurred_at DESC, trace_id LIMIT {most:UInt32}",
        agent=agent,
        most=at_most,
    )
    return [row["trace_id"] for row in rows]


async def between(db: ClickHouse, agent: str, start: datetime, end: datetime) -> list[str]:
    """The agent's judged traces that began in [start, end), the oldest first."""
    rows = await db.query(
        "SELECT trace_id FROM judged_traces FINAL WHERE agent = {agent:String}"
        " AND day >= toDate({start:DateTime64(3)}) AND day <= toDate({end:DateTime64(3)})"
        " AND occurred_at >= {start:DateTime64(3)} AND occurred_at < {end:DateTime64(3)}"
        " ORDER BY occurred_at, trace_id",
        agent=agent,
        start=start,
        end=end,
    )
    return [row["trace_id"] for row in rows]


async def unlabelled(db: ClickHouse, agent: str, since: datetime, at_most: int) -> dict[str, float]:
    """Scores of an agent's traces since then that no person has labelled, by trace id.

    Those nearest to a half, which is where a detector is unsure; and by hash a quarter of any other.
    """
    rows = await db.query(
        "WITH those AS (SELECT trace_id, score FROM judged_traces FINAL WHERE agent = {agent:String}"
        " AND day >= toDate({since:DateTime64(3)}) AND occurred_at >= {since:DateTime64(3)}"
        " AND trace_id NOT IN (SELECT trace_id FROM labels WHERE agent = {agent:String}))"
        " SELECT * FROM (SELECT * FROM those ORDER BY abs(score - 0.5), trace_id LIMIT {most:UInt32})"
        " UNION DISTINCT"
        " SELECT * FROM (SELECT * FROM those ORDER BY cityHash64(trace_id), trace_id LIMIT {any:UInt32})",
        agent=agent,
        since=since,
        most=at_most - at_most // 4,
        any=at_most // 4,
    )
    return {row["trace_id"]: row["score"] for row in rows}


def _verdict(row: Mapping[str, Any]) -> Verdict:
    lists = {
        "signals": _signals(row["signals"]),
        "tools": tuple(row["tools"]),
        "beside": tuple(Beside(**b) if isinstance(b, dict) else Beside(*b) for b in row["beside"]),
    }
    return Verdict(**{**row, **lists})


def _signals(rows: Sequence[Any]) -> tuple[Signal, ...]:
    return tuple(Signal(**row) if isinstance(row, dict) else Signal(*row) for row in rows)
