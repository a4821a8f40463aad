"""Wiring of propose: accepted evals and decisions in, changes out; one change in flight per agent."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from outerloop.contracts.v1.change_pb2 import ChangeAbandoned
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_CONFLICT,
    OBSTACLE_NOT_REPRODUCED,
    OBSTACLE_PERSON,
    VERDICT_SHIP,
    DecisionReached,
)
from outerloop.contracts.v1.eval_pb2 import EvalAccepted
from outerloop.contracts.v1.loop_pb2 import LessonNoted, LoopPaused
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.propose import ids, plan, strategies
from outerloop.propose.attempt import Attempts, NoChange, Task
from outerloop.propose.plan import Abandon, Outcome, next_step
from outerloop.propose.schooling import Schooling
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tracing import Tracing
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.errors import UserError
from outerloop.runtime.lookout import look_out, waits
from outerloop.runtime.pause import Pauses
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import changes, decisions, evals, modes, releases
from outerloop.store.changes import ChangeRecord
from outerloop.store.changes import State as ChangeState
from outerloop.store.evals import EvalRecord
from outerloop.store.evals import State as EvalState
from outerloop.store.releases import Reopening
from outerloop.trace.quote import clip

log = logging.getLogger(__name__)

SETTINGS = ProposeSettings
_MOST_TOLD = 20
_LOOK_SECONDS = 10.0  # between two looks at whether an eval that is worked on is still wanted
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
CONSUMES = tuple(topic_of(kind).name for kind in (EvalAccepted, EvalReopened, DecisionReached, LessonNoted))
# What is heard as news, in no consumer group.
HEARS = (topic_of(LoopPaused).name,)


class Proposer:
    """The service; see the package."""

    def __init__(
        self, settings: ProposeSettings, bus: Bus, db: ClickHouse, pauses: Pauses | None = None
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._attempts = Attempts(settings, db)
        self._schooling = Schooling(db)
        self._tracing = Tracing(bus, db, settings.propose_provider, on=settings.propose_trace)
        self._pauses = pauses or Pauses(bus)
        self._one_at_a_time = asyncio.Lock()
        self._wanted: dict[str, float] = {}  # by agent: when its eval was last seen to be wanted
        bus.subscribe(CONSUMES, self.handle, at_most=1)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Take the next step for the agent that an event is about."""
        for delivery in batch:
            decided = None
            if delivery.topic == topic_of(LessonNoted).name:
                await self._schooling.note(unpack(delivery, LessonNoted))
                continue
            if delivery.topic == topic_of(DecisionReached).name:
                decided = unpack(delivery, DecisionReached)
                agent = decided.agent
                await self._tracing.decided(decided)
            elif delivery.topic == topic_of(EvalReopened).name:
                agent = unpack(delivery, EvalReopened).agent
            else:
                agent = unpack(delivery, EvalAccepted).agent
            try:
                await self.advance(agent, decided, delivery)
            except UserError as error:
                # Nothing is wrong with the event: look() goes on when a person has put it right.
                waits(self._bus, agent)
                log.warning("nothing is proposed for %s: %s", agent, error)

    async def look(self) -> None:
        """Take up what no event announces, for as long as the service lives."""
        await look_out(self._bus, topic_of(EvalAccepted).name, self._settings.repositories(), self.look_at)

    async def look_at(self, agent: str) -> None:
        """Take the next step for an agent."""
        await self.advance(agent, None, None)

    def _holds(self, agent: str) -> bool:
        """Whether the agent is this replica's, so that no two of them pay for the same change."""
        return self._bus.holds(topic_of(EvalAccepted).name, agent)

    async def advance(self, agent: str, decided: DecisionReached | None, cause: Delivery | None) -> None:
        """Do what the plan says next for an agent, until a change is in flight or nothing is left.

        `decided` may be newer than what ClickHouse holds: the gate writes its row after its event.
        """
        if agent not in self._settings.repositories():
            log.info("nothing is proposed for %s: OUTERLOOP_AGENTS names no repository of it", agent)
            return
        async with self._one_at_a_time:
            # What this replica does not hold, look() takes up in the one that does.
            while not await self._hindrance(agent) and await self._step(agent, decided, cause):
                pass

    async def _step(self, agent: str, decided: DecisionReached | None, cause: Delivery | None) -> bool:
        """One step; whether there may be another."""
        known_evals = await evals.of_agent(self._db, agent, EvalState.ACCEPTED)
        muted = await modes.muted(self._db, [e.mode_id for e in known_evals])
        accepted = {e.eval_id: e for e in known_evals if e.gates and e.mode_id not in muted}
        known = await changes.of_agent(self._db, agent)
        if unsent := next((c for c in known if c.state is ChangeState.WRITTEN), None):
            await self._send(unsent, cause)
            return False
        verdicts = {d.change_id: d for d in await decisions.of_agent(self._db, agent)}
        if decided is not None:
            verdicts.setdefault(decided.change_id, decided)
        await self._schooling.learn(agent, known, verdicts)
        again = await releases.reopened(self._db, agent)
        given_up = [
            c.eval_id
            for c in known
            if c.state is ChangeState.ABANDONED and not _before(c.at, again.get(c.eval_id))
        ]
        tried = [c for c in known if c.state in {ChangeState.PROPOSED, ChangeState.FAILED}]
        failed = [c for c in tried if c.state is ChangeState.FAILED]
        step = next_step(
            list(accepted),
            [plan.Change(c.change_id, c.eval_id, c.attempt) for c in tried],
            [
                *(plan.Decision(d.change_id, _outcome(d, again.get(d.eval_id))) for d in verdicts.values()),
                *(plan.Decision(c.change_id, _failed(c, again.get(c.eval_id))) for c in failed),
            ],
            given_up,
            max_attempts=self._settings.propose_attempts,
        )
        if isinstance(step, Abandon):
            reason = f"{step.reason}{_all_tried(step.eval_id, tried, verdicts)}"
            await self._abandon(accepted[step.eval_id], step.attempts, reason, cause)
            return True
        if isinstance(step, plan.Propose):
            record = accepted[step.eval_id]
            now = [c.at for c in known if (c.eval_id, c.attempt) == (step.eval_id, step.attempt)]
            task = Task(
                record=record,
                attempt=step.attempt,
                tried=tried,
                decisions=verdicts,
                used=max(now, default=None),
                since=again[record.eval_id].at if record.eval_id in again else _EVER,
                hindrance=lambda: self._hindrance_of(record),
            )
            return await self._propose(task, cause)
        return False

    async def _propose(self, task: Task, cause: Delivery | None) -> bool:
        if self._settings.propose_provider == "anthropic" and not self._settings.anthropic_api_key:
            raise UserError("there is no model: set ANTHROPIC_API_KEY")
        record, attempt = task.record, task.attempt
        change_id = ids.change_id(record.eval_id, attempt)
        with tempfile.TemporaryDirectory(prefix="propose-", ignore_cleanup_errors=True) as scratch:
            made = await self._attempts.make(task, Path(scratch))
        if earlier := await self._written(record.agent, change_id):
            await self._send(earlier, cause)
            return False
        if made is not None:
            await self._tracing.sessions_of(record.agent, change_id)
        if await self._moot(record):
            return True
        if made is None:  # it may not go on now: look() takes it up
            return False
        if isinstance(made, NoChange) and made.final:
            await self._abandon(record, attempt, made.reason, cause, usd=made.usd)
            return True
        change = self._record(record, attempt, change_id)
        if isinstance(made, NoChange):
            log.warning("%s: attempt %d at eval %s: %s", record.agent, attempt, record.eval_id, made.reason)
            failed = replace(change, state=ChangeState.FAILED, diagnosis=made.reason, usd=made.usd)
            await changes.insert(self._db, failed)
            return True
        change = replace(
            change, base_commit=made.base, patch=made.patch, diagnosis=made.diagnosis, usd=made.usd
        )
        await changes.insert(self._db, change)
        await self._send(change, cause)
        return False

    async def _hindrance(self, agent: str) -> str:
        """Why no call of the model may be made for an agent now, "" if it may."""
        if not self._holds(agent):
            return "the agent is another replica's now"
        return await self._pauses.why(agent)

    async def _hindrance_of(self, record: EvalRecord) -> str:
        """The same for an attempt at an eval, which a person may retire, or mute the mode of, meanwhile."""
        if why := await self._hindrance(record.agent):
            return why
        if time.monotonic() - self._wanted.get(record.agent, -_LOOK_SECONDS) < _LOOK_SECONDS:
            return ""
        if why := await self._moot(record):
            return why
        self._wanted[record.agent] = time.monotonic()
        return ""

    async def _moot(self, record: EvalRecord) -> str:
        """Why nobody wants a change for an eval any more, "" if somebody does."""
        known = await evals.get(self._db, record.eval_id)
        if known is None or not known.gates:
            return "its eval binds no longer"
        return "its mode is muted" if await modes.muted(self._db, [record.mode_id]) else ""

    async def _written(self, agent: str, change_id: str) -> ChangeRecord | None:
        """The change, if another replica wrote it while this one worked on it: the agent changed hands."""
        states = {ChangeState.WRITTEN, ChangeState.PROPOSED}
        known = await changes.of_agent(self._db, agent)
        return next((c for c in known if c.change_id == change_id and c.state in states), None)

    def _record(self, record: EvalRecord, attempt: int, change_id: str) -> ChangeRecord:
        return ChangeRecord(
            change_id=change_id,
            agent=record.agent,
            mode_id=record.mode_id,
            eval_id=record.eval_id,
            attempt=attempt,
            state=ChangeState.WRITTEN,
            base_commit="",
            patch="",
            diagnosis="",
            model=self._settings.propose_model,
            usd=0.0,
            at=datetime.now(UTC),
        )

    async def _send(self, change: ChangeRecord, cause: Delivery | None) -> None:
        await self._bus.publish(change.message(), because=(change.change_id,), cause=cause)
        await changes.insert(self._db, replace(change, state=ChangeState.PROPOSED))

    async def _abandon(
        self, record: EvalRecord, attempts: int, reason: str, cause: Delivery | None, *, usd: float = 0.0
    ) -> None:
        log.info("%s: eval %s is given up: %s", record.agent, record.eval_id, reason)
        message = ChangeAbandoned(
            agent=record.agent,
            mode_id=record.mode_id,
            eval_id=record.eval_id,
            attempts=attempts,
            reason=reason,
        )
        again = (await releases.reopened(self._db, record.agent)).get(record.eval_id)
        because = (record.eval_id, attempts, *([again.cause] if again else []))
        await self._bus.publish(message, because=because, cause=cause)
        row = self._record(record, attempts, ids.change_id(record.eval_id, attempts) + "/abandoned")
        await changes.insert(self._db, replace(row, state=ChangeState.ABANDONED, diagnosis=reason, usd=usd))


def wire(settings: ProposeSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    return (Proposer(settings, bus, db).look,)


def _all_tried(eval_id: str, tried: Sequence[ChangeRecord], verdicts: Mapping[str, DecisionReached]) -> str:
    """What was tried at an eval, for the person who is to decide what now."""
    said: list[str] = []
    for change in (c for c in tried if c.eval_id == eval_id):
        decision = verdicts.get(change.change_id)
        kind = strategies.of_patch(change.patch).value if change.patch else "no change"
        why = (
            f"{change.diagnosis.partition(chr(10))[0]} -> {decision.reason}" if decision else change.diagnosis
        )
        said.append(f"attempt {change.attempt} ({kind}): {clip(' '.join(why.split()), 300)}")
    return f". Tried: {'; '.join(said[-_MOST_TOLD:])}" if said else ""


def _before(at: datetime, reopening: Reopening | None) -> bool:
    return reopening is not None and at < reopening.at


def _failed(change: ChangeRecord, reopening: Reopening | None) -> Outcome:
    return Outcome.PAST if _before(change.at, reopening) else Outcome.FAILED


_REJECTIONS = {
    OBSTACLE_CONFLICT: Outcome.CONFLICT,
    OBSTACLE_NOT_REPRODUCED: Outcome.FINAL,
    OBSTACLE_PERSON: Outcome.FINAL,
}


def _outcome(decision: DecisionReached, reopening: Reopening | None) -> Outcome:
    past = _before(decision.decided_at.ToDatetime(UTC), reopening)
    if decision.verdict == VERDICT_SHIP:
        return Outcome.UNDONE if past else Outcome.SHIPPED
    if past:
        return Outcome.PAST
    return _REJECTIONS.get(decision.obstacle, Outcome.REJECTED)
