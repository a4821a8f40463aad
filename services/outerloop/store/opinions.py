"""Tables judge_opinions and mode_descriptions: what a model said of traces and of modes. Writer: triage."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One answer of a judge: `said` is good, bad, unsure, or "" if it is no use; `prompt`: what was asked."""

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
    """A mode in a model's words; without any where its answer was of no use."""

    agent: str
    mode_id: str
    name: str
    description: str
    model: str
    usd: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trace that this judge has not seen, and what the detector made of it."""

    trace_id: str
    score: float
    detected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One judge beside people: see the view judge_agreement in migration 0030."""

    agent: str
    model: str
    prompt: str
    opinions: int
    said_bad: int
    unsure: int
    useless: int
    good_good: int
    good_bad: int
    bad_good: int
    bad_bad: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """A trace on which a judge and people differ."""

    trace_id: str
    judge: str
    people: str
    reason: str


_STANDINGS = """
SELECT agent, model, prompt, opinions, said_bad, unsure, useless, good_good, good_bad, bad_good, bad_bad
FROM judge_agreement WHERE empty({agents:Array(String)}) OR agent IN {agents:Array(String)}
ORDER BY agent, model, prompt
"""
# Of those that people have labelled, bad ones and good ones in turn: it takes both to know a judge.
_LABELLED = """
SELECT trace_id, score, detected FROM (
    SELECT trace_id, argMax(good, (source = 'person', labelled_at)) AS good, max(labelled_at) AS at
    FROM labels FINAL WHERE agent = {agent:String} GROUP BY trace_id
) AS l
INNER JOIN (SELECT trace_id, score, detected FROM judged_traces FINAL WHERE agent = {agent:String}) AS j
    USING (trace_id)
WHERE trace_id NOT IN (
    SELECT trace_id FROM judge_opinions
    WHERE agent = {agent:String} AND model = {model:String} AND prompt = {prompt:String})
ORDER BY row_number() OVER (PARTITION BY l.good ORDER BY l.at DESC, trace_id), l.good
LIMIT {most:UInt32}
"""
_UNSEEN = """
SELECT trace_id, score, detected FROM judged_traces FINAL
WHERE agent = {agent:String} AND day >= toDate({since:DateTime64(3)}) AND occurred_at >= {since:DateTime64(3)}
  AND trace_id NOT IN (
    SELECT trace_id FROM judge_opinions
    WHERE agent = {agent:String} AND model = {model:String} AND prompt = {prompt:String})
  AND trace_id NOT IN (SELECT trace_id FROM labels WHERE agent = {agent:String})
ORDER BY occurred_at DESC, trace_id
LIMIT {most:UInt32}
"""


async def insert(db: ClickHouse, opinion: Opinion) -> None:
    """Store an opinion; the same judge's newer one of the same trace replaces the older."""
    await db.insert("judge_opinions", [asdict(opinion)])


async def describe(db: ClickHouse, description: Description) -> None:
    """Store a mode's description; a newer one replaces the older."""
    await db.insert("mode_descriptions", [asdict(description)])


async def bad(db: ClickHouse, agents: Collection[str], trace_ids: Collection[str]) -> list[Opinion]:
    """The opinions that call these traces of these agents bad, the oldest first."""
    rows = await db.query(
        "SELECT * FROM judge_opinions FINAL WHERE agent IN {agents:Array(String)}"
        " AND trace_id IN {traces:Array(String)} AND said = 'bad' ORDER BY at, model, prompt",
        agents=sorted(agents),
        traces=sorted(trace_ids),
    )
    return [Opinion(**row) for row in rows]


async def bad_since(db: ClickHouse, agent: str, since: datetime) -> list[Opinion]:
    """The opinions since then that call traces of an agent bad, the oldest first."""
    rows = await db.query(
        "SELECT * FROM judge_opinions FINAL WHERE agent = {agent:String} AND said = 'bad'"
        " AND at >= {since:DateTime64(3)} ORDER BY at, model, prompt",
        agent=agent,
        since=since,
    )
    return [Opinion(**row) for row in rows]


async def standings(db: ClickHouse, agents: Sequence[str] = ()) -> list[Standing]:
    """Every judge of these agents, of all if none is named, beside people."""
    return [Standing(**row) for row in await db.query(_STANDINGS, agents=list(agents))]


async def against_people(db: ClickHouse, judge: Standing, *, at_most: int) -> list[Dispute]:
    """What a judge says otherwise than people, the latest first."""
    rows = await db.query(
        "SELECT o.trace_id AS trace_id, o.said AS judge, if(p.good, 'good', 'bad') AS people,"
        " o.reason AS reason"
        " FROM (SELECT * FROM judge_opinions FINAL WHERE agent = {agent:String} AND model = {model:String}"
        " AND prompt = {prompt:String} AND said IN ('good', 'bad')) AS o"
        " INNER JOIN (SELECT trace_id, argMax(good, (source = 'person', labelled_at)) AS good"
        " FROM labels FINAL WHERE agent = {agent:String} GROUP BY trace_id) AS p ON p.trace_id = o.trace_id"
        " WHERE judge != people ORDER BY o.at DESC, trace_id LIMIT {most:UInt32}",
        agent=judge.agent,
        model=judge.model,
        prompt=judge.prompt,
        most=at_most,
    )
    return [Dispute(**row) for row in rows]


async def labelled(db: ClickHouse, agent: str, model: str, prompt: str, *, at_most: int) -> list[Candidate]:
    """Traces that people have labelled and this judge has not seen: by them it is known how good it is."""
    rows = await db.query(_LABELLED, agent=agent, model=model, prompt=prompt, most=at_most)
    return [Candidate(**row) for row in rows]


async def unseen(
    db: ClickHouse, agent: str, model: str, prompt: str, *, since: datetime, at_most: int
) -> list[Candidate]:
    """Traces since then that neither this judge has seen nor a person labelled, the newest first."""
    rows = await db.query(_UNSEEN, agent=agent, model=model, prompt=prompt, since=since, most=at_most)
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


async def nameless(db: ClickHouse, agent: str, at_most: int) -> list[str]:
    """Modes of an agent that have been opened and that no model was asked to describe."""
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
