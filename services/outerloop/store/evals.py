"""Table evals: evals from draft to acceptance, and modes for which there is none yet. Writer: draft."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from outerloop.evals.model import Cassette, Eval
from outerloop.runtime.clickhouse import ClickHouse


class State(StrEnum):
    """How far an eval is, in the order in which a later state replaces an earlier one."""

    # No eval could be proven: the row says for which mode, and on how many failures and healthy runs.
    UNDRAFTABLE = "undraftable"
    DRAFTED = "drafted"
    REJECTED = "rejected"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """One eval with its proof on recorded traces. UNDRAFTABLE, it has neither text nor cassette."""

    eval_id: str
    agent: str
    mode_id: str
    title: str
    state: State
    eval_yaml: str
    cassette_jsonl: str
    content_sha256: str
    failing_caught: int
    failing: int
    healthy_passed: int
    healthy: int
    reviewer: str
    at: datetime

    @property
    def eval(self) -> Eval:
        """The eval itself."""
        return Eval.from_yaml(self.eval_yaml, f"eval {self.eval_id}")

    @property
    def cassette(self) -> Cassette:
        """The world that it runs in."""
        return Cassette.from_jsonl(self.cassette_jsonl, f"cassette of eval {self.eval_id}")


async def insert(db: ClickHouse, record: EvalRecord) -> None:
    """Store an eval; a later state replaces an earlier one."""
    await db.insert("evals", [asdict(record) | {"step": list(State).index(record.state)}])


async def get(db: ClickHouse, eval_id: str) -> EvalRecord | None:
    """One eval."""
    found = await _select(db, "eval_id = {eval_id:String}", eval_id=eval_id)
    return found[0] if found else None


async def of_agent(db: ClickHouse, agent: str, state: State | None = None) -> list[EvalRecord]:
    """The evals of an agent ("": of every agent), in the order in which they reached their state.

    Without a state asked for, all that there is an eval of: none that is UNDRAFTABLE.
    """
    return await _select(
        db,
        "({agent:String} = '' OR agent = {agent:String})"
        " AND if({state:String} = '', state != 'undraftable', state = {state:String})",
        agent=agent,
        state=state.value if state else "",
    )


async def _select(db: ClickHouse, where: str, **parameters: str) -> list[EvalRecord]:
    rows = await db.query(
        "SELECT eval_id, agent, mode_id, title, state, eval_yaml, cassette_jsonl, content_sha256,"  # noqa: S608
        " failing_caught, failing, healthy_passed, healthy, reviewer, at"
        f" FROM evals FINAL WHERE {where} ORDER BY at, eval_id",
        **parameters,
    )
    return [EvalRecord(**row | {"state": State(row["state"])}) for row in rows]
