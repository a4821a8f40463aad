"""Wiring of gate: proposed changes in, decisions out; one change at a time.

While Kafka moves partitions, two replicas may judge the same change. It ships at most once (the push creates
the change's ref), and each looks for the other's verdict before it ships and before it publishes. What that
leaves is a moment: a rejection published by one between another's last look and its push. Then the decision
to ship is published too, under an id of its own, and counts, for the commit is out: one id never has two
verdicts.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.gate.core.certificate import Broken
from outerloop.gate.court import says
from outerloop.gate.court.checks import BrokenTestsError
from outerloop.gate.court.judge import Judge
from outerloop.gate.court.rows import Rows
from outerloop.gate.court.says import Judged
from outerloop.gate.production.reopening import reopen
from outerloop.gate.production.sentinel import Sentinel
from outerloop.gate.production.watch import Watch
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Runner
from outerloop.gate.trials.dispatch import FINISHED, Dispatch
from outerloop.gate.trials.purse import PAUSED
from outerloop.gate.trials.runner import Checkouts
from outerloop.gate.trials.waiting import WaitError
from outerloop.gate.trials.worker import GROUP, REQUESTED, Worker
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.errors import OutageError, PoisonError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.lookout import look_out, waits
from outerloop.runtime.pause import Pauses, Why, never
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import changes, decisions, evals, heldout
from outerloop.store.changes import State as ChangeState
from outerloop.store.evals import State
from outerloop.trial.backend import sandbox_of

log = logging.getLogger(__name__)

SETTINGS = GateSettings
CHANGES = topic_of(ChangeProposed).name
CONSUMES = (CHANGES, REQUESTED)
# What is heard as news, in no consumer group.
HEARS = (FINISHED, topic_of(LoopPaused).name)
# Topics that are read in another consumer group than the service's own.
GROUPS = {REQUESTED: GROUP}
# A change without a verdict that is so old waits for a person to put something right.
WAITING_SECONDS = 60.0
# Until a change is taken up again that could not be judged for another reason than a person's mistake.
AFTER_OUTAGE = timedelta(seconds=20)
AGAIN = timedelta(minutes=10)
# Until tests are run again that do not pass without the change either: other agents wait meanwhile.
AFTER_TESTS = timedelta(minutes=5)


class Gate:
    """The service; see the package."""

    def __init__(
        self,
        settings: GateSettings,
        bus: Bus,
        db: ClickHouse,
        runner: Callable[[Checkouts], Runner],
        paused: Why = never,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._paused = paused
        rows = Rows(db, paused)
        self._judge = Judge(settings, rows, rows, runner)
        self._one_at_a_time = asyncio.Lock()
        # By change; forgotten with the process, which costs a look.
        self._not_before: dict[str, datetime] = {}
        bus.subscribe((CHANGES,), self.handle, at_most=1)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Decide on each change once."""
        for delivery in batch:
            await self._settle(unpack(delivery, ChangeProposed), delivery)

    async def look(self) -> None:
        """Take up changes that were left, for as long as the service lives.

        Raises:
            UserError: if what is to sign commits cannot.
        """
        if key := self._settings.signing_key():
            await key.check()
        await look_out(self._bus, CHANGES, self._settings.repositories(), self.look_at)

    async def look_at(self, agent: str) -> None:
        """Decide on the changes for an agent that wait for it."""
        for change in await self._waiting(agent):
            try:
                await self._settle(change, None)
            except Exception:
                # Whatever is wrong with this one, the next look is for those after it.
                self._not_before[change.change_id] = datetime.now(UTC) + AGAIN
                raise

    async def _waiting(self, agent: str) -> list[ChangeProposed]:
        """The changes for an agent that were proposed a while ago and have no verdict, the oldest first."""
        now = datetime.now(UTC)
        before = now - timedelta(seconds=WAITING_SECONDS)
        self._not_before = {change: until for change, until in self._not_before.items() if until > now}
        known = await changes.of_agent(self._db, agent)
        settled = {decision.change_id for decision in await decisions.of_agent(self._db, agent)}
        return [
            record.message()
            for record in known
            if record.state is ChangeState.PROPOSED
            and record.at < before
            and record.change_id not in settled
            and record.change_id not in self._not_before
        ]

    async def _settle(self, change: ChangeProposed, cause: Delivery | None) -> None:
        async with self._one_at_a_time:
            if await decisions.decided(self._db, change.change_id):
                return
            try:
                await self._decide(change, cause)
            except WaitError as wait:
                self._not_before[change.change_id] = wait.until
                log.info("change %s for %s waits: %s", change.change_id, change.agent, wait)
            except OutageError as outage:
                # Not Kafka's to bring again: another agent's changes are behind this one.
                self._not_before[change.change_id] = datetime.now(UTC) + AFTER_OUTAGE
                waits(self._bus, change.agent)
                log.warning("change %s for %s waits: %s", change.change_id, change.agent, outage)
            except UserError as error:
                # Nothing is wrong with the change: look() takes it up again.
                if isinstance(error, BrokenTestsError):
                    self._not_before[change.change_id] = datetime.now(UTC) + AFTER_TESTS
                waits(self._bus, change.agent)
                log.warning("change %s for %s waits: %s", change.change_id, change.agent, error)

    async def _decide(self, change: ChangeProposed, cause: Delivery | None) -> None:
        if why := await self._paused(change.agent):  # before anything else: a hearing rests only once
            raise WaitError(why, datetime.now(UTC) + PAUSED)
        repositories = self._settings.repositories()
        if change.agent not in repositories:
            raise UserError(
                f"OUTERLOOP_AGENTS names no repository of {change.agent}: add {change.agent}=URL[#BRANCH]"
            )
        url, branch = repositories[change.agent]
        record = await evals.get(self._db, change.eval_id)
        if record is None or not (record.gates or record.state is State.RETIRED):
            raise PoisonError(f"a change for eval {change.eval_id}, which nobody made binding")
        repository = await Repository.open(url, self._settings.cache / "gate" / change.agent)
        judged: Judged | None
        if record.state is State.RETIRED:
            judged = says.retired(change, f"{record.reviewer} retired its eval: {record.reason}")
        else:
            new = await heldout.entry_of(self._db, record)
            judged = await self._judge.judge(repository, branch, change, new)
        if judged is None or (
            judged.decision.verdict != VERDICT_SHIP and await decisions.decided(self._db, change.change_id)
        ):
            log.info("change %s for %s was decided meanwhile", change.change_id, change.agent)
            return
        for broken in judged.broken:
            await self._reopen(judged.decision, broken)
        decision = judged.decision
        verdict = decisions.verdict_of(decision)
        log.info("change %s for %s: %s: %s", change.change_id, change.agent, verdict, decision.reason)
        # The id of a decision is of its content: another change may have had the same.
        because = (decision.decision_id, change.change_id, verdict)
        await self._bus.publish(decision, because=because, cause=cause)
        # Last, so that a row says: this verdict is out. A crash before it repeats the same event.
        await decisions.insert(self._db, decision)
        metrics.DECISIONS.labels(verdict).inc()

    async def _reopen(self, decision: DecisionReached, broken: Broken) -> None:
        """Tell that the base itself fails an earlier eval: it is work for the loop again."""
        message = EvalReopened(
            eval_id=broken.eval_id,
            agent=decision.agent,
            commit=decision.base_commit,
            reason=f"the base fails it: {broken.passed} of {broken.trials} trials pass",
            passed=broken.passed,
            trials=broken.trials,
        )
        if (record := await evals.get(self._db, broken.eval_id)) is not None:
            message.mode_id = record.mode_id
        message.reopened_at.CopyFrom(decision.decided_at)
        await reopen(self._bus, self._db, message, (broken.eval_id, decision.base_commit))


def wire(settings: GateSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside: every replica judges, runs trials, and watches what shipped."""
    dispatch = Dispatch(settings, bus, db)
    worker = Worker(settings, bus, db, sandbox_of(settings))
    paused = Pauses(bus).why
    gate = Gate(settings, bus, db, lambda _: dispatch, paused)
    watch = Watch(settings, bus, db)
    beside = (gate.look, dispatch.watch, worker.tend, watch.look)
    if not settings.gate_sentinel_trials:
        return beside
    return (*beside, Sentinel(settings, bus, db, dispatch, paused).look)
