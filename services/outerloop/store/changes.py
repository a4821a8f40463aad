"""Table changes: patches, and attempts that brought none. Writer: propose."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.runtime.clickhouse import ClickHouse


class State(StrEnum):
    """How far a change is, in the order in which a later state replaces an earlier one."""

    FAILED = "failed"  # no patch: the session ended without one, which counts as an attempt
    WRITTEN = "written"
    PROPOSED = "proposed"  # its event is out
    ABANDONED = "abandoned"  # no patch: the eval was given up


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    """One attempt at an eval. `usd` is what the session that ended it cost; see spent_usd for all."""

    change_id: str
    agent: str
    mode_id: str
    eval_id: str
    attempt: int
    state: State
    base_commit: str
    patch: str
    diagnosis: str
    model: str
    usd: float
    at: datetime

    def message(self) -> ChangeProposed:
        """The event that announces it."""
        message = ChangeProposed(
            change_id=self.change_id,
            agent=self.agent,
            mode_id=self.mode_id,
            eval_id=self.eval_id,
            attempt=self.attempt,
            base_commit=self.base_commit,
            patch=self.patch,
            diagnosis=self.diagnosis,
            model=self.model,
        )
        message.proposed_at.FromDatetime(self.at)
        return message


async def insert(db: ClickHouse, change: ChangeRecord) -> None:
    """Store a change; a later state replaces an earlier one."""
    await db.insert("changes", [asdict(change) | {"step": list(State).index(change.state)}])


async def get(db: ClickHouse, agent: str, change_id: str) -> ChangeRecord | None:
    """One change for an agent."""
    where = "agent = {agent:String} AND change_id = {change:String}"
    found = await _select(db, where, agent=agent, change=change_id)
    return found[0] if found else None


async def of_agent(db: ClickHouse, agent: str) -> list[ChangeRecord]:
    """The changes for an agent, the oldest first."""
    return await _select(db, "agent = {agent:String}", agent=agent)


async def _select(db: ClickHouse, where: str, **parameters: str) -> list[ChangeRecord]:
    rows = await db.query(
        "SELECT change_id, agent, mode_id, eval_id, attempt, state, base_commit, patch, diagnosis, model,"  # noqa: S608
        f" usd, at FROM changes FINAL WHERE {where} ORDER BY at, attempt",
        **parameters,
    )
    return [ChangeRecord(**row | {"state": State(row["state"])}) for row in rows]
