"""Tables judge_opinions and mode_descriptions: what a model said of traces and of modes. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store.labels import LEAST_AGREEMENT, LEAST_BOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One answer of a judge: `said` is good, bad, or "" where it is no use; `prompt` names the question."""

    agent: str
    trace_id: str
    said: str
    cause: str
    reason: str
    span_id: str
    model: str
    prompt: str
    input_tokens: int
    output_tokens: int
    usd: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A mode in a model's words."""

    agent: str
    mode_id: str
    name: str
    description: str
    model: str
    usd: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trace that no judge has seen."""

    trace_id: str
    score: float


async def insert(db: ClickHouse, opinion: Opinion) -> None:
    """Store an opinion."""
    await db.insert("judge_opinions", [asdict(opinion)])


async def describe(db: ClickHouse, description: Description) -> None:
    """Store a mode's description; a newer one replaces the older."""
    await db.insert("mode_descriptions", [asdict(description)])


async def of_traces(db: ClickHouse, trace_ids: Sequence[str]) -> dict[str, Opinion]:
    """What judges said of these traces, the latest of each; no judge that people find wrong too often."""
    rows = await db.query(
        "SELECT * FROM judge_opinions FINAL WHERE trace_id IN {traces:Array(String)}"
        " AND said IN ('good', 'bad') ORDER BY at",
        traces=list(trace_ids),
    )
    wrong = await _wrong(db) if rows else set()
    found = (Opinion(**row) for row in rows)
    return {o.trace_id: o for o in found if (o.agent, o.model) not in wrong}


async def _wrong(db: ClickHouse) -> set[tuple[str, str]]:
    rows = await db.query(
        "SELECT agent, name FROM agreement WHERE source = 'judge'"
        " AND both >= {both:UInt32} AND agreed < {least:Float64} * both",
        both=LEAST_BOTH,
        least=LEAST_AGREEMENT,
    )
    return {(row["agent"], row["name"]) for row in rows}


async def candidates(db: ClickHouse, agent: str, since: datetime, at_most: int) -> list[Candidate]:
    """Traces of an agent since then that no judge has seen and no person has labelled, the newest first."""
    rows = await db.query(
        "SELECT trace_id, score FROM judged_traces FINAL"
        " WHERE agent = {agent:String} AND day >= toDate({since:DateTime64(3)})"
        " AND occurred_at >= {since:DateTime64(3)}"
        " AND trace_id NOT IN (SELECT trace_id FROM judge_opinions WHERE agent = {agent:String})"
        " AND trace_id NOT IN (SELECT trace_id FROM labels WHERE agent = {agent:String})"
        " ORDER BY occurred_at DESC, trace_id LIMIT {most:UInt32}",
        agent=agent,
        since=since,
        most=at_most,
    )
    return [Candidate(**row) for row in rows]


async def causes(db: ClickHouse, agent: str, at_most: int) -> list[str]:
    """The causes that judges have named for an agent's failures, the most frequent first."""
    rows = await db.query(
        "SELECT cause FROM judge_opinions FINAL WHERE agent = {agent:String} AND said = 'bad' AND cause != ''"
        " GROUP BY cause ORDER BY count() DESC, cause LIMIT {most:UInt32}",
        agent=agent,
        most=at_most,
    )
    return [row["cause"] for row in rows]


async def spent_usd(db: ClickHouse, agent: str, since: datetime) -> float:
    """Dollars that judging and describing for an agent have cost since then."""
    (row,) = await db.query(
        "SELECT sum(usd) AS usd FROM ("
        " SELECT agent, usd, at FROM judge_opinions FINAL"
        " UNION ALL SELECT agent, usd, at FROM mode_descriptions FINAL"
        ") WHERE agent = {agent:String} AND at >= {since:DateTime64(3)}",
        agent=agent,
        since=since,
    )
    return float(row["usd"] or 0)


async def nameless(db: ClickHouse, agent: str, at_most: int) -> list[str]:
    """Modes of an agent that have been opened and have no description."""
    rows = await db.query(
        "SELECT DISTINCT m.mode_id AS mode_id FROM modes AS m FINAL"
        " INNER JOIN (SELECT mode_id FROM mode_states WHERE state = 'open') AS s ON s.mode_id = m.mode_id"
        " WHERE m.agent = {agent:String}"
        " AND m.mode_id NOT IN (SELECT mode_id FROM mode_descriptions WHERE agent = {agent:String})"
        " ORDER BY mode_id LIMIT {most:UInt32}",
        agent=agent,
        most=at_most,
    )
    return [row["mode_id"] for row in rows]
