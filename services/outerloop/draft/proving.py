"""Proving: drafts that hold on recorded traces are run on the base; beside the handler, as it takes long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.draft.announce import Announcer
from outerloop.draft.base import Base, Shown
from outerloop.draft.policy import POLICY, needs_no_review
from outerloop.draft.record import accepted, passes, shown
from outerloop.draft.settings import DraftSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError, OuterloopError, UserError
from outerloop.runtime.topics import topic_of
from outerloop.store import evals, heldout
from outerloop.store.evals import EvalRecord, Reproduction, State

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# What cannot be run is tried again: after so long, so often, and then left to the gate, which asks the same.
AFTER_OUTAGE = timedelta(seconds=20)
OUTAGES = 15
# Another eval in place of one; None after enough of them, or when none is proven.
Instead = Callable[[EvalRecord], Awaitable[EvalRecord | None]]


class Proving:
    """Asks the base about each draft that this replica holds, one at a time; `instead` drafts another one."""

    def __init__(
        self, settings: DraftSettings, bus: Bus, db: ClickHouse, base: Base, instead: Instead
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._base = base
        self._instead = instead
        self._announcer = Announcer(bus, db)
        # By eval; forgotten with the process, which costs a few tries.
        self._not_before: dict[str, tuple[datetime, int]] = {}

    async def work(self) -> None:
        """For as long as the service lives."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.work_once()
            except OuterloopError as error:
                log.warning("drafts wait to be proven: %s", error)

    async def work_once(self) -> None:
        """Prove the drafts that wait for it."""
        for record in await evals.of_agent(self._db, "", State.PROVING):
            until, _ = self._not_before.get(record.eval_id, (datetime.now(UTC), 0))
            ours = self._bus.holds(topic_of(ModeOpened).name, record.agent)
            if until <= datetime.now(UTC) and ours and not await self._base.paused(record.agent):
                await self._prove(record)

    async def _prove(self, record: EvalRecord) -> None:
        try:
            proven = await self._replaced(await self._asked(record))
        except OutageError as outage:
            if not self._given_up(record, outage):
                return
            proven = await self._as_known(record, outage)
        except UserError as error:
            log.warning("%s: draft %s is not run on the base: %s", record.agent, record.eval_id, error)
            proven = await self._as_known(record, error)
        except Exception:  # what is wrong with one draft, even a bug, must not end the service for others
            log.exception("%s: draft %s is not run on the base", record.agent, record.eval_id)
            proven = await self._as_known(record)
        self._not_before.pop(record.eval_id, None)
        # The row last: nothing is redelivered here, and a crash before it repeats all of this.
        await self._announcer.announce(proven, None)
        await evals.insert(self._db, proven)

    async def _asked(self, record: EvalRecord) -> EvalRecord:
        """The draft with the base's answer; nobody is asked twice, where only another draft was missing."""
        if record.reproduction is Reproduction.NOT_REPRODUCED:
            return replace(record, state=State.DRAFTED, at=datetime.now(UTC))
        return await self._judged(record, await self._base.ask(record))

    async def _replaced(self, proven: EvalRecord) -> EvalRecord:
        """The draft; set aside, where the base passes it and another one is drafted in its place.

        Nobody need look at it then: what failed once was no typical failure, or has been mended since.
        """
        if proven.reproduction is not Reproduction.NOT_REPRODUCED or not proven.as_drafted:
            return proven
        # Known to the drafter, so that it takes another request; still unproven, so that a crash repeats it.
        await evals.insert(self._db, replace(proven, state=State.PROVING))
        other = await self._instead(proven)
        if other is None:
            return proven
        await self._announcer.announce(other, None)
        await evals.insert(self._db, other)
        why = f"{passes(proven)}: eval {other.eval_id} was drafted in its place"
        return replace(proven, state=State.SET_ASIDE, reason=why)

    def _given_up(self, record: EvalRecord, outage: OutageError) -> bool:
        _, times = self._not_before.get(record.eval_id, (None, 0))
        self._not_before[record.eval_id] = (datetime.now(UTC) + AFTER_OUTAGE, times + 1)
        log.warning("%s: draft %s waits for the base: %s", record.agent, record.eval_id, outage)
        return times + 1 >= OUTAGES

    async def _as_known(self, record: EvalRecord, why: OuterloopError | None = None) -> EvalRecord:
        """As a draft for review, with what was found out of it by now, and why it was not more."""
        known = await evals.get(self._db, record.eval_id) or record
        reason = known.reason or (f"the release branch could not be run: {why}" if why else "")
        return replace(known, state=State.DRAFTED, reason=reason, at=datetime.now(UTC))

    async def _judged(self, record: EvalRecord, found: Shown) -> EvalRecord:
        """The draft with what the base showed; accepted where the agent's policy needs no review of it."""
        proven = shown(record, found)
        if proven.content_sha256 != record.content_sha256:  # without variants that the base passes
            await heldout.insert(self._db, found.entry)
        if found.terms.review != "auto":
            return proven
        known = await evals.of_agent(self._db, record.agent, State.ACCEPTED)
        before = needs_no_review(proven, known, self._settings.draft_auto_mutants)
        if before is None:
            return proven
        why = f"as {before.reviewer} accepted eval {before.eval_id} for the same sign"
        return accepted(proven, POLICY, datetime.now(UTC), why)
