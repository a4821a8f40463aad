"""Table decisions: the gate's verdicts. Writer: gate."""

from datetime import UTC, datetime
from typing import Any

from outerloop.contracts.v1 import decision_pb2
from outerloop.contracts.v1.decision_pb2 import ClaimShown, DecisionReached, EvalOutcome
from outerloop.runtime.clickhouse import ClickHouse

_TEXTS = (
    "decision_id",
    "agent",
    "change_id",
    "mode_id",
    "eval_id",
    "reason",
    "base_commit",
    "candidate_commit",
    "suite_commit",
    "shipped_commit",
    "certificate_sha256",
    "series",
)
_OUTCOME = ("eval_id", "title", "trials", "passed", "held", "reasons", "divergences")
_CLAIM = ("kind", "name", "state", "bar", "passed", "trials", "log_e_above", "log_e_below")


def verdict_of(decision: DecisionReached) -> str:
    """ship, reject or inconclusive."""
    return decision_pb2.Verdict.Name(decision.verdict).removeprefix("VERDICT_").lower()


async def insert(db: ClickHouse, decision: DecisionReached) -> None:
    """Store a decision whose event is out."""
    row: dict[str, Any] = {name: getattr(decision, name) for name in _TEXTS}
    row["verdict"] = verdict_of(decision)
    row["obstacle"] = decision_pb2.Obstacle.Name(decision.obstacle).removeprefix("OBSTACLE_").lower()
    row["outcomes"] = [
        (o.eval_id, o.title, o.trials, o.passed, o.held, list(o.reasons), o.divergences)
        for o in decision.outcomes
    ]
    row["claims"] = [tuple(getattr(claim, name) for name in _CLAIM) for claim in decision.claims]
    row["alpha"], row["ledger_index"] = decision.alpha, decision.ledger_index
    row["at"] = decision.decided_at.ToDatetime(UTC)
    await db.insert("decisions", [row])


async def decided(db: ClickHouse, change_id: str) -> bool:
    """Whether a change has its verdict, and the verdict is out."""
    rows = await db.query(
        "SELECT 1 AS one FROM decisions WHERE change_id = {change:String} LIMIT 1", change=change_id
    )
    return bool(rows)


async def blocks(db: ClickHouse, agent: str, before: datetime) -> tuple[int, dict[str, int]]:
    """How many verdicts an agent had before a time, and how many changes each earlier eval has stopped."""
    rows = await db.query(
        "SELECT arrayFirst(o -> NOT o.held AND o.trials > 0, outcomes).eval_id AS eval_id,"
        " obstacle = 'prior_eval' AS stopped, count() AS n FROM decisions FINAL"
        " WHERE agent = {agent:String} AND at < {before:DateTime64(3)} GROUP BY eval_id, stopped",
        agent=agent,
        before=before,
    )
    total = sum(int(row["n"]) for row in rows)
    return total, {row["eval_id"]: int(row["n"]) for row in rows if row["stopped"]}


async def of_agent(db: ClickHouse, agent: str) -> list[DecisionReached]:
    """The decisions for an agent, the oldest first."""
    rows = await db.query(
        "SELECT * FROM decisions FINAL WHERE agent = {agent:String} ORDER BY at, decision_id", agent=agent
    )
    return [_message(row) for row in rows]


def _message(row: dict[str, Any]) -> DecisionReached:
    message = DecisionReached(
        **{name: row[name] for name in _TEXTS},
        alpha=row["alpha"],
        ledger_index=row["ledger_index"],
        verdict="VERDICT_" + row["verdict"].upper(),
        obstacle="OBSTACLE_" + row["obstacle"].upper(),
    )
    message.decided_at.FromDatetime(row["at"])
    message.outcomes.extend(EvalOutcome(**_named(o, _OUTCOME)) for o in row["outcomes"])
    message.claims.extend(ClaimShown(**_named(c, _CLAIM)) for c in row["claims"])
    return message


def _named(values: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """A tuple of ClickHouse as its fields: drivers give named ones as either."""
    return values if isinstance(values, dict) else dict(zip(names, values, strict=True))
