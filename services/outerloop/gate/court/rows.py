"""Rows: what the gate knows from ClickHouse, besides what git tells: trials, verdicts, the budget."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from outerloop.gate.trials.purse import DailyBudget, Purse
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.pause import Why, never
from outerloop.store import decisions, trials
from outerloop.store.trials import TrialRecord


@dataclass(frozen=True, slots=True)
class Past:
    """How many decisions there were, and how many of them each earlier eval has stopped. It orders trials."""

    decisions: int = 0
    blocks: Mapping[str, int] = field(default_factory=dict[str, int])


class Docket(Protocol):
    """What became of changes before."""

    async def decided(self, change_id: str) -> bool:
        """Whether a change has its verdict, and the verdict is out."""
        ...

    async def past(self, agent: str, before: datetime) -> Past:
        """The agent's decisions before a time: the same whenever it is asked."""
        ...

    def purse(self, terms: AgentFile) -> Purse:
        """Who pays for trials of an agent."""
        ...


class Rows:
    """`Docket` and `Records` over ClickHouse."""

    def __init__(self, db: ClickHouse, paused: Why = never) -> None:
        self._db = db
        self._paused = paused

    async def decided(self, change_id: str) -> bool:
        """See `Docket`."""
        return await decisions.decided(self._db, change_id)

    async def past(self, agent: str, before: datetime) -> Past:
        """See `Docket`."""
        number, blocks = await decisions.blocks(self._db, agent, before)
        return Past(number, blocks)

    def purse(self, terms: AgentFile) -> Purse:
        """See `Docket`."""
        return DailyBudget(self._db, terms, self._paused)

    async def of(self, series: str) -> list[TrialRecord]:
        """See `Records`."""
        return await trials.of_series(self._db, series)

    async def add(self, record: TrialRecord) -> TrialRecord:
        """See `Records`."""
        return await trials.keep(self._db, record)
