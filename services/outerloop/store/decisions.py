"""Tables decisions and trials: the gate's verdicts and the runs behind them. Writer: gate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from outerloop.contracts.v1 import decision_pb2
from outerloop.contracts.v1.decision_pb2 import DecisionReached
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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One run of the agent on one eval; `number` counts from 0 within the eval."""

    trial_id: str
    decision_id: str
    agent: str
    eval_id: str
    number: int
    passed: bool
    reasons: tuple[str, ...]
    answer: str
    model_calls: int
    models: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    divergences: int
    seconds: float
    at: datetime


async def insert(db: ClickHouse, decision: DecisionReached) -> None:
    """Store a decision whose event is out."""
    row: dict[str, Any] = {name: getattr(decision, name) for name in _TEXTS}
    row["verdict"] = decision_pb2.Verdict.Name(decision.verdict).removeprefix("VERDICT_").lower()
    row["obstacle"] = decision_pb2.Obstacle.Name(decision.obstacle).removeprefix("OBSTACLE_").lower()
    row["outcomes"] = [
        (o.eval_id, o.title, o.trials, o.passed, o.held, list(o.reasons), o.divergences)
        for o in decision.outcomes
    ]
    row["at"] = decision.decided_at.ToDatetime(UTC)
    await db.insert("decisions", [row])


async def insert_trials(db: ClickHouse, trials: Sequence[TrialRecord]) -> None:
    """Store trials; the same trial again replaces itself."""
    lists = [{"reasons": list(t.reasons), "models": list(t.models)} for t in trials]
    await db.insert("trials", [asdict(t) | those for t, those in zip(trials, lists, strict=True)])


async def decided(db: ClickHouse, change_id: str) -> bool:
    """Whether a change has its verdict, and the verdict is out."""
    rows = await db.query(
        "SELECT 1 AS one FROM decisions WHERE change_id = {change:String} LIMIT 1", change=change_id
    )
    return bool(rows)


async def of_agent(db: ClickHouse, agent: str) -> list[DecisionReached]:
    """The decisions for an agent, the oldest first."""
    rows = await db.query(
        "SELECT * FROM decisions FINAL WHERE agent = {agent:String} ORDER BY at, decision_id", agent=agent
    )
    return [_message(row) for row in rows]


def _message(row: dict[str, Any]) -> DecisionReached:
    message = DecisionReached(
        **{name: row[name] for name in _TEXTS},
        verdict="VERDICT_" + row["verdict"].upper(),
        obstacle="OBSTACLE_" + row["obstacle"].upper(),
    )
    message.decided_at.FromDatetime(row["at"])
    for outcome in row["outcomes"]:
        values = outcome if isinstance(outcome, dict) else dict(zip(_OUTCOME, outcome, strict=True))
        message.outcomes.append(decision_pb2.EvalOutcome(**values))
    return message


_OUTCOME = ("eval_id", "title", "trials", "passed", "held", "reasons", "divergences")


async def trials_of(db: ClickHouse, decision_id: str) -> list[TrialRecord]:
    """The trials that were run for a decision, by eval and number."""
    rows = await db.query(
        "SELECT * FROM trials FINAL WHERE decision_id = {decision:String} ORDER BY eval_id, number",
        decision=decision_id,
    )
    tuples = ({name: tuple(row[name]) for name in ("reasons", "models")} for row in rows)
    return [TrialRecord(**row | those) for row, those in zip(rows, tuples, strict=True)]
