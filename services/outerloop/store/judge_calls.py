"""Table judge_calls: what asking a model about traces and modes was paid for. Writer: triage."""

from dataclasses import asdict, dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse

# The outcome of a call that is under way, or whose worker died in it.
ASKING = "asking"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeCall:
    """One call; see migration 0030. `step` 0 is the row before it, 1 the row after it."""

    call_id: str
    agent: str
    what: str
    about: str
    model: str
    prompt: str
    outcome: str
    input_tokens: int
    output_tokens: int
    usd: float
    seconds: float
    at: datetime
    step: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What a model has cost for an agent: all, and since a moment; `away`: how often it was not there."""

    agent: str
    model: str
    usd: float
    usd_since: float
    away: int


async def insert(db: ClickHouse, call: JudgeCall) -> None:
    """Store a call; its later step replaces the earlier one."""
    await db.insert("judge_calls", [asdict(call)])


async def spent_usd(db: ClickHouse, since: datetime) -> float:
    """Dollars that calls since then have cost, all agents together; those under way count with the most."""
    rows = await db.query(
        "SELECT sum(usd) AS usd FROM judge_calls FINAL WHERE at >= {since:DateTime64(3)}", since=since
    )
    return float(rows[0]["usd"] or 0)


async def bills(db: ClickHouse, since: datetime) -> list[Bill]:
    """What every judge has cost, by agent, prompts of the same model together."""
    rows = await db.query(
        "SELECT agent, model, sum(c.usd) AS usd, sumIf(c.usd, c.at >= {since:DateTime64(3)}) AS usd_since,"
        " countIf(c.outcome = 'away') AS away FROM judge_calls AS c FINAL GROUP BY agent, model",
        since=since,
    )
    return [Bill(**row) for row in rows]


async def spent_by_agent(db: ClickHouse, since: datetime) -> dict[str, float]:
    """Dollars that calls since then have cost, by agent."""
    rows = await db.query(
        "SELECT agent, sum(c.usd) AS usd FROM judge_calls AS c FINAL"
        " WHERE at >= {since:DateTime64(3)} GROUP BY agent",
        since=since,
    )
    return {row["agent"]: row["usd"] for row in rows}


async def others(db: ClickHouse, call: JudgeCall, *, since: datetime, alive: datetime) -> int:
    """How many other calls since then ask the same: answered, or begun after `alive` and not ended."""
    rows = await db.query(
        "SELECT count() AS n FROM judge_calls FINAL"
        " WHERE at >= {since:DateTime64(3)} AND about = {about:String} AND model = {model:String}"
        " AND prompt = {prompt:String} AND call_id != {own:String}"
        " AND (outcome IN ('answered', 'useless', 'refused')"
        " OR outcome = {asking:String} AND at >= {alive:DateTime64(3)})",
        since=since,
        alive=alive,
        about=call.about,
        model=call.model,
        prompt=call.prompt,
        own=call.call_id,
        asking=ASKING,
    )
    return int(rows[0]["n"])


async def often_paid(
    db: ClickHouse, agent: str, model: str, prompt: str, *, since: datetime, times: int
) -> set[str]:
    """What a model was asked by a prompt, and paid for, so many times since then, of an agent."""
    rows = await db.query(
        "SELECT about FROM judge_calls FINAL WHERE at >= {since:DateTime64(3)} AND agent = {agent:String}"
        " AND model = {model:String} AND prompt = {prompt:String} AND usd > 0"
        " GROUP BY about HAVING count() >= {times:UInt32}",
        since=since,
        agent=agent,
        model=model,
        prompt=prompt,
        times=times,
    )
    return {row["about"] for row in rows}
