"""What no event announces, looked at from time to time by the replica that holds an agent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.failure_pb2 import FailureDetected
from outerloop.contracts.v1.mode_pb2 import ModeEscalated
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OuterloopError
from outerloop.runtime.topics import topic_of
from outerloop.store import escalations, modes, verdicts
from outerloop.store.escalations import Escalation, Rates
from outerloop.triage.core.rising import is_rising
from outerloop.triage.court import Rulings

log = logging.getLogger(__name__)

# What is done from time to time for an agent that this replica holds.
Visit = Callable[[str, datetime], Awaitable[object]]
Agents = Callable[[], Awaitable[Sequence[str]]]

LOOK_SECONDS = 60.0
# Of late, and what it is compared with: a bad hour against its day, a bad day against its week.
_WINDOWS = ((timedelta(hours=1), timedelta(days=1)), (timedelta(days=1), timedelta(days=7)))


async def visiting(bus: Bus, agents: Agents, *visits: Visit) -> None:
    """For ever: from time to time, visit those of `agents` that this replica holds, in their order."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for visit in visits:
            try:
                for agent in await agents():
                    if bus.holds(topic_of(FailureDetected).name, agent):
                        await visit(agent, datetime.now(UTC))
            except OuterloopError as error:
                log.warning("another look is taken later: %s", error)
            except Exception:  # what is wrong with one agent, even a bug, must not end the service for others
                log.exception("another look is taken later")


class Lookout:
    """`look` runs beside the handlers."""

    def __init__(self, bus: Bus, db: ClickHouse, rulings: Rulings) -> None:
        self._bus = bus
        self._db = db
        self._rulings = rulings

    async def look(self) -> None:
        """For ever: visit every agent that this replica holds."""
        await visiting(self._bus, lambda: verdicts.agents(self._db), self.visit)

    async def visit(self, agent: str, now: datetime) -> None:
        """Tidy up after rulings, and say which modes have become more frequent."""
        await self._rulings.tidy(agent)
        known = await escalations.known(self._db, agent, now.date())
        for late, before in _WINDOWS:
            rates = await escalations.rates(
                self._db, agent, start=now - late - before, since=now - late, end=now
            )
            rising = [r for r in rates if r.mode_id not in known and _rises(r)]
            quiet = await modes.muted(self._db, [r.mode_id for r in rising])
            for rate in rising:
                if rate.mode_id not in quiet:
                    await self._escalate(agent, rate, int(late.total_seconds() // 3600), now)
                    known.add(rate.mode_id)

    async def _escalate(self, agent: str, rate: Rates, hours: int, now: datetime) -> None:
        mode = await modes.get(self._db, rate.mode_id)
        if mode is None:
            return
        message = ModeEscalated(
            mode_id=mode.mode_id,
            agent=agent,
            title=mode.title,
            traces_before=rate.traces_before,
            failures_before=rate.failures_before,
            traces_now=rate.traces_now,
            failures_now=rate.failures_now,
            hours=hours,
        )
        message.escalated_at.FromDatetime(now)
        await self._bus.publish(message, because=(mode.mode_id, now.date()))
        row = Escalation(
            agent=agent,
            mode_id=mode.mode_id,
            day=now.date(),
            hours=hours,
            traces_before=rate.traces_before,
            failures_before=rate.failures_before,
            traces_now=rate.traces_now,
            failures_now=rate.failures_now,
            at=now,
        )
        await escalations.insert(self._db, row)


def _rises(rate: Rates) -> bool:
    return is_rising(
        (rate.traces_before, rate.failures_before), (rate.traces_now, rate.failures_now), rate.spells
    )
