"""What a session for an agent may still cost today.

Spent is what the model was paid for: every step of every session, whatever became of it, and what the gate's
trials used, as far as the price of the agent's model is known.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime

from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import sessions
from outerloop.store.spending import spent_usd, today

log = logging.getLogger(__name__)

# With less than this share of what a session may cost, one would hardly get to its end.
_LEAST_SHARE = 0.25
# Between two looks at what is left of a day while sessions are at work: a call takes as long.
_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a session may cost from its beginning to its end, in US dollars, and how much of that `today`.

    `whole`: not less than it may on any other day. `last`: no more than what is left for its eval.
    """

    usd: float
    today: float
    whole: bool
    last: bool = False


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a session, all sessions for an eval, and those of a day for all agents may cost."""

    session: float
    mode: float
    day: float


def share(today: float, *, going: int, candidates: int) -> float:
    """What each candidate that is `going` may still cost of what is left for `today`.

    Where there are several, the runs that choose one of them have a part too.
    """
    return today / (going + 1) if candidates > 1 else today


class Budget:
    """The budgets of all agents, within `caps`."""

    def __init__(self, db: ClickHouse, caps: Caps) -> None:
        self._db = db
        self._caps = caps
        # By agent: a day, and the dollars that are not worth another session on that day.
        self._too_little: dict[str, tuple[datetime, float]] = {}
        self._looked: dict[str, float] = {}  # by agent: when its budgets were last looked at

    async def used_up(self, agent: str, eval_id: str, since: datetime) -> tuple[float, str]:
        """What attempts at an eval may still cost, and, if that is too little for one, why in a sentence."""
        spent = await sessions.spent_on(self._db, agent, eval_id, since)
        left = self._caps.mode - spent
        if left >= self._caps.session * _LEAST_SHARE:
            return left, ""
        return left, f"attempts at it have cost ${spent:.2f} of the ${self._caps.mode:.2f} that they may"

    async def allowance(
        self, agent: str, terms: AgentFile, gone: float | None, of_mode: float
    ) -> Allowance | None:
        """What a session may cost now, or None when that is too little to begin one, or to go on with one.

        `gone`: what the session has cost that is to be gone on with; `of_mode`: see used_up.
        """
        day = today()
        # One that has cost the limit of a day could never go on if that were its own limit.
        most = self._caps.session if gone else min(self._caps.session, terms.budget.usd_per_day)
        left = await self._left(agent, terms, day)
        wanted = max(0.0, min(most - (gone or 0.0), of_mode))
        usd = min(wanted, left)
        at, least = self._too_little.get(agent, (day, 0.0))
        share = 0.0 if gone else min(most, of_mode) * _LEAST_SHARE
        if usd > max(share, least if at == day else 0.0) or (gone and left >= wanted):
            return Allowance((gone or 0.0) + usd, usd, whole=usd >= wanted, last=usd >= of_mode)
        self.too_little(agent, usd)
        return None

    async def overdrawn(self, agent: str, terms: AgentFile) -> str:
        """Why no call may be made for an agent today, "" if one may.

        Others spend while a session is at work: judges, drafts, trials, other replicas.
        """
        if time.monotonic() - self._looked.get(agent, -_LOOK_SECONDS) < _LOOK_SECONDS:
            return ""
        if (left := await self._left(agent, terms, today())) <= 0:
            return f"others have spent meanwhile: today's budget is passed by ${-left:.2f}"
        self._looked[agent] = time.monotonic()
        return ""

    async def _left(self, agent: str, terms: AgentFile, day: datetime) -> float:
        """What is left of a day's budgets, in US dollars; below 0 when others have spent meanwhile."""
        return min(
            terms.budget.usd_per_day - await spent_usd(self._db, agent, terms.models.values(), day),
            self._caps.day - await sessions.spent_by_all(self._db, day),
        )

    def too_little(self, agent: str, usd: float) -> None:
        """Begin no session with `usd` or less for the rest of the day."""
        day = today()
        at, least = self._too_little.get(agent, (None, 0.0))
        if at != day:
            log.warning("%s: today's budget is spent; no change is proposed until tomorrow", agent)
        self._too_little[agent] = (day, max(usd, least if at == day else 0.0))
