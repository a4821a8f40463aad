"""What an agent's improvement has cost: judging, drafts, the harness and trials. Writes nothing."""

from collections.abc import Iterable
from datetime import UTC, datetime

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.prices import Usage, among, known_prices


def today() -> datetime:
    """When the day began, in UTC: budgets are a day's."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def spent_usd(db: ClickHouse, agent: str, models: Iterable[str], since: datetime) -> float:
    """US dollars that were spent on an agent since then, whatever came of it.

    Trials do not tell which of the agent's `models` they asked: the dearest is taken. Models without a known
    price cost nothing here.
    """
    prices = known_prices()
    tokens = Usage(*await _trial_tokens(db, agent, since))
    trials = max((price.usd(tokens) for model in models if (price := among(prices, model))), default=0.0)
    return (
        trials
        + await _paid_usd(db, "harness_steps", agent, since)
        + await _paid_usd(db, "draft_calls", agent, since)
        + await _paid_usd(db, "judge_calls", agent, since)
    )


async def _paid_usd(db: ClickHouse, table: str, agent: str, since: datetime) -> float:
    rows = await db.query(
        f"SELECT sum(usd) AS usd FROM {table} FINAL"  # noqa: S608 - a name of ours
        " WHERE agent = {agent:String} AND at >= {since:DateTime64(3)}",
        agent=agent,
        since=since,
    )
    return float(rows[0]["usd"] or 0)


async def _trial_tokens(db: ClickHouse, agent: str, since: datetime) -> tuple[int, int]:
    rows = await db.query(
        "SELECT sum(input_tokens) AS input, sum(output_tokens) AS output FROM ("
        " SELECT input_tokens, output_tokens FROM trials FINAL"
        " WHERE agent = {agent:String} AND at >= {since:DateTime64(3)}"
        " UNION ALL SELECT input_tokens, output_tokens FROM draft_calls FINAL"
        " WHERE agent = {agent:String} AND at >= {since:DateTime64(3)} AND what = 'base')",
        agent=agent,
        since=since,
    )
    return int(rows[0]["input"] or 0), int(rows[0]["output"] or 0)
