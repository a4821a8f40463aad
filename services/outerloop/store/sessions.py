"""Tables harness_sessions and harness_steps: how the harness came to its patches. Writer: propose."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse

_BRIEF = """
SELECT s.session_id AS session_id, s.agent AS agent, s.eval_id AS eval_id, s.attempt AS attempt,
       s.candidate AS candidate, s.strategy AS strategy, s.state AS state, s.outcome AS outcome,
       t.steps AS steps, t.usd AS usd, t.input AS input_tokens, t.output AS output_tokens,
       if(t.input > 0, t.hit / t.input, 0) AS cache_hit_rate, s.began_at AS began_at
FROM harness_sessions AS s FINAL LEFT JOIN
(
    SELECT session_id, uniqExactIf(step, state != 'asked') AS steps, sum(usd) AS usd,
           sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cache_read_tokens) AS hit
    FROM harness_steps FINAL GROUP BY session_id
) AS t ON t.session_id = s.session_id
WHERE {agent:String} = '' OR s.agent = {agent:String}
ORDER BY s.began_at DESC LIMIT {most:UInt32}
"""


class State(StrEnum):
    """How far a session is; a later state replaces an earlier one."""

    OPEN = "open"
    ENDED = "ended"


class StepState(StrEnum):
    """How far a step is: its call is being made, the model has answered, its tools have answered too."""

    ASKED = "asked"
    ANSWERED = "answered"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One session; `outcome` is JSON, "" while it is open."""

    session_id: str
    agent: str
    change_id: str
    mode_id: str
    eval_id: str
    attempt: int
    candidate: int
    strategy: str
    state: State
    base_commit: str
    model: str
    told: str
    outcome: str
    began_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step: what the model said (JSON), what its tools answered (JSON), what it cost.

    `input_tokens` are all that were sent, those that a cache had a part in included.
    """

    agent: str
    change_id: str
    session_id: str
    step: int
    epoch: int
    state: StepState
    stop_reason: str
    content: str
    results: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usd: float
    seconds: float
    at: datetime


async def insert(db: ClickHouse, *sessions: SessionRecord) -> None:
    """Store sessions, all or none; a later state replaces an earlier one."""
    rows = [asdict(session) | {"step": list(State).index(session.state)} for session in sessions]
    await db.insert("harness_sessions", rows)


async def insert_steps(db: ClickHouse, steps: Sequence[StepRecord]) -> None:
    """Store steps at once; the same step of the same epoch again replaces itself."""
    await db.insert("harness_steps", [asdict(step) for step in steps])


async def of_change(db: ClickHouse, agent: str, change_id: str) -> list[SessionRecord]:
    """The sessions that were begun for a change, the oldest first."""
    rows = await db.query(
        "SELECT * EXCEPT step FROM harness_sessions FINAL WHERE agent = {agent:String}"
        " AND change_id = {change:String} ORDER BY began_at, session_id",
        agent=agent,
        change=change_id,
    )
    return [_session(row) for row in rows]


async def get(db: ClickHouse, beginning: str) -> list[SessionRecord]:
    """The sessions whose id begins so."""
    rows = await db.query(
        "SELECT * EXCEPT step FROM harness_sessions FINAL WHERE startsWith(session_id, {beginning:String})"
        " ORDER BY began_at LIMIT 10",
        beginning=beginning,
    )
    return [_session(row) for row in rows]


async def steps(db: ClickHouse, session: SessionRecord) -> list[StepRecord]:
    """All rows of a session's steps, by step and epoch; see propose/memory.py for which of them stand."""
    rows = await db.query(
        f"SELECT {', '.join(StepRecord.__dataclass_fields__)} FROM harness_steps FINAL"  # noqa: S608 - our names
        " WHERE agent = {agent:String} AND change_id = {change:String} AND session_id = {session:String}"
        " ORDER BY step, epoch",
        agent=session.agent,
        change=session.change_id,
        session=session.session_id,
    )
    return [StepRecord(**row | {"state": StepState(row["state"])}) for row in rows]


async def strategies(db: ClickHouse, agent: str, eval_id: str, since: datetime) -> list[str]:
    """The strategies of the sessions for an eval since then, one a session; "" where none was recorded."""
    rows = await db.query(
        "SELECT strategy FROM harness_sessions FINAL WHERE agent = {agent:String}"
        " AND eval_id = {eval:String} AND began_at >= {since:DateTime64(3)} ORDER BY began_at",
        agent=agent,
        eval=eval_id,
        since=since,
    )
    return [str(row["strategy"]) for row in rows]


async def brief(db: ClickHouse, agent: str, most: int) -> list[dict[str, Any]]:
    """The newest sessions of an agent ("": of all) with what each took."""
    return await db.query(_BRIEF, agent=agent, most=most)


async def spent_on(db: ClickHouse, agent: str, eval_id: str, since: datetime) -> float:
    """US dollars that sessions for an eval have cost since then."""
    rows = await db.query(
        "SELECT sum(usd) AS usd FROM harness_steps FINAL WHERE agent = {agent:String}"
        " AND at >= {since:DateTime64(3)} AND session_id IN (SELECT session_id FROM harness_sessions"
        " WHERE agent = {agent:String} AND eval_id = {eval:String})",
        agent=agent,
        eval=eval_id,
        since=since,
    )
    return float(rows[0]["usd"] or 0)


async def spent_by_all(db: ClickHouse, since: datetime) -> float:
    """US dollars that the sessions for all agents have cost since then."""
    rows = await db.query(
        "SELECT sum(usd) AS usd FROM harness_steps FINAL WHERE at >= {since:DateTime64(3)}", since=since
    )
    return float(rows[0]["usd"] or 0)


def _session(row: dict[str, Any]) -> SessionRecord:
    return SessionRecord(**row | {"state": State(row["state"])})
