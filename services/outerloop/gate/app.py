"""Wiring of gate: proposed changes in, decisions out; one change at a time.

While Kafka moves partitions, two replicas may judge the same change. It ships at most once (the push creates
the change's ref), and each looks for the other's verdict before it ships and before it publishes. What that
leaves is a moment: a rejection published by one between another's last look and its push. Then the decision
to ship is published too, under an id of its own, and counts, for the commit is out: one id never has two
verdicts.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1 import decision_pb2
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP
from outerloop.evals.suite import Entry
from outerloop.gate.judge import Judge
from outerloop.gate.settings import GateSettings
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.errors import PoisonError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.lookout import look_out
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import changes, decisions, evals
from outerloop.store.changes import State as ChangeState
from outerloop.store.evals import State

log = logging.getLogger(__name__)

SETTINGS = GateSettings
CONSUMES = (topic_of(ChangeProposed).name,)
# A change without a verdict that is so old waits for a person to put something right.
WAITING_SECONDS = 60.0


class Gate:
    """The service; see the package."""

    def __init__(self, settings: GateSettings, bus: Bus, db: ClickHouse) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._judge = Judge(settings, db)
        self._one_at_a_time = asyncio.Lock()
        bus.subscribe(CONSUMES, self.handle, at_most=1)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Decide on each change once."""
        for delivery in batch:
            await self._settle(unpack(delivery, ChangeProposed), delivery)

    async def look(self) -> None:
        """Take up changes that were left, for as long as the service lives."""
        await look_out(self._bus, CONSUMES[0], self._settings.repositories(), self.look_at)

    async def look_at(self, agent: str) -> None:
        """Decide on the changes for an agent that wait for it."""
        for change in await self._waiting(agent):
            await self._settle(change, None)

    async def _waiting(self, agent: str) -> list[ChangeProposed]:
        """The changes for an agent that were proposed a while ago and have no verdict, the oldest first."""
        before = datetime.now(UTC) - timedelta(seconds=WAITING_SECONDS)
        known = await changes.of_agent(self._db, agent)
        settled = {decision.change_id for decision in await decisions.of_agent(self._db, agent)}
        return [
            record.message()
            for record in known
            if record.state is ChangeState.PROPOSED and record.at < before and record.change_id not in settled
        ]

    async def _settle(self, change: ChangeProposed, cause: Delivery | None) -> None:
        async with self._one_at_a_time:
            if await decisions.decided(self._db, change.change_id):
                return
            try:
                await self._decide(change, cause)
            except UserError as error:
                # Nothing is wrong with the change: look() takes it up again.
                log.warning("change %s for %s waits: %s", change.change_id, change.agent, error)

    async def _decide(self, change: ChangeProposed, cause: Delivery | None) -> None:
        repositories = self._settings.repositories()
        if change.agent not in repositories:
            raise UserError(
                f"OUTERLOOP_AGENTS names no repository of {change.agent}: add {change.agent}=URL[#BRANCH]"
            )
        url, branch = repositories[change.agent]
        record = await evals.get(self._db, change.eval_id)
        if record is None or record.state is not State.ACCEPTED:
            raise PoisonError(f"a change for eval {change.eval_id}, which nobody accepted")
        repository = await Repository.open(url, self._settings.cache / "gate" / change.agent)
        new = Entry(record.eval, record.cassette)
        decision = await self._judge.judge(repository, branch, change, new)
        if decision is None or (
            decision.verdict != VERDICT_SHIP and await decisions.decided(self._db, change.change_id)
        ):
            log.info("change %s for %s was decided meanwhile", change.change_id, change.agent)
            return
        verdict = decision_pb2.Verdict.Name(decision.verdict).removeprefix("VERDICT_").lower()
        log.info("change %s for %s: %s: %s", change.change_id, change.agent, verdict, decision.reason)
        await self._bus.publish(decision, because=(decision.decision_id, verdict), cause=cause)
        # Last, so that a row says: this verdict is out. A crash before it repeats the same event.
        await decisions.insert(self._db, decision)
        metrics.DECISIONS.labels(verdict).inc()


def wire(settings: GateSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    return (Gate(settings, bus, db).look,)
