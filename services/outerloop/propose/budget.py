"""What a session for an agent may still cost today.

Spent is what the model was paid for: every step of every session, whatever became of it, and what the gate's
trials used, as far as the price of the agent's model is known.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store.spending import spent_usd, today

log = logging.getLogger(__name__)

# With less than this share of what a session may cost, one would hardly get to its end.
_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a session may cost from its beginning to its end, in US dollars, and how much of that `today`.

    `whole`: not less than it may on any other day.
    """

    usd: float
    today: float
    whole: bool


class Budget:
    """The budgets of all agents; `usd_per_session` bounds each session."""

    def __init__(self, db: ClickHouse, usd_per_session: float) -> None:
        self._db = db
        self._usd_per_session = usd_per_session
        # By agent: a day, and the dollars that are not worth another session on that day.
        self._too_little: dict[str, tuple[datetime, float]] = {}

    async def allowance(self, agent: str, terms: AgentFile, gone: float | None = None) -> Allowance | None:
        """What a session may cost now, or None when that is too little to begin one, or to go on with one.

        `gone`: what the session has cost that is to be gone on with.
        """
        day = today()
        # One that has cost the limit of a day could never go on if that were its own limit.
        most = self._usd_per_session if gone else min(self._usd_per_session, terms.budget.usd_per_day)
        left = terms.budget.usd_per_day - await spent_usd(self._db, agent, terms.models.values(), day)
        wanted = max(0.0, most - (gone or 0.0))
        usd = min(wanted, left)
        at, least = self._too_little.get(agent, (day, 0.0))
        share = 0.0 if gone else most * _LEAST_SHARE
        if usd > max(share, least if at == day else 0.0) or (gone and left >= wanted):
            return Allowance((gone or 0.0) + usd, usd, whole=usd >= wanted)
        self.too_little(agent, usd)
        return None

    def too_little(self, agent: str, usd: float) -> None:
        """Begin no session with `usd` or less for the rest of the day."""
        day = today()
        at, least = self._too_little.get(agent, (None, 0.0))
        if at != day:
            log.warning("%s: today's budget is spent; no change is proposed until tomorrow", agent)
        self._too_little[agent] = (day, max(usd, least if at == day else 0.0))
