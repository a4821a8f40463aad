"""Purse: whether another trial may be paid for: by the budget of today, and by whoever pauses the loop."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from outerloop.gate.trials.waiting import WaitError
from outerloop.runtime.agentfile import NAME, AgentFile
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.pause import Why
from outerloop.store.spending import spent_usd, today

# Between two looks some trials may be begun that the budget does not cover: a few cents, not a query each.
LOOK_SECONDS = 5.0
# Until a change that was paused is looked at again.
PAUSED = timedelta(seconds=20)


class Purse(Protocol):
    """Pays for trials."""

    async def check(self) -> None:
        """Return if another trial may be begun.

        Raises:
            WaitError: if not; nothing is lost.
        """
        ...


class DailyBudget:
    """The `budget.usd_per_day` of one agent: what sessions and trials have cost since midnight, UTC.

    `paused` is asked before each trial.
    """

    def __init__(self, db: ClickHouse, terms: AgentFile, paused: Why) -> None:
        self._db = db
        self._terms = terms
        self._paused = paused
        self._looked = -LOOK_SECONDS

    async def check(self) -> None:
        """See `Purse`."""
        if why := await self._paused(self._terms.agent):
            raise WaitError(why, datetime.now(UTC) + PAUSED)
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        agent, most = self._terms.agent, self._terms.budget.usd_per_day
        spent = await spent_usd(self._db, agent, self._terms.models.values(), today())
        if spent >= most:
            spent_of = f"{spent:.2f} of {most:.2f} US dollars"
            raise WaitError(
                f"today's budget of {agent} is spent ({spent_of}; `budget.usd_per_day` in {NAME})",
                today() + timedelta(days=1),
            )
        self._looked = time.monotonic()


class Unlimited:
    """Pays for everything: a person has asked, who sees the bill."""

    async def check(self) -> None:
        """See `Purse`."""
