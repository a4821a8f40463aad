"""Wiring of draft: opened modes in, proven drafts out; reviews in, binding evals out."""

import asyncio
import logging
from collections.abc import Sequence

from outerloop.contracts.v1.eval_pb2 import REVIEW_ACCEPT, REVIEW_REJECT, EvalReviewed
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.draft import evidence
from outerloop.draft.core.proof import Undraftable
from outerloop.draft.record import (
    Opening,
    drafted,
    eval_accepted,
    eval_drafted,
    eval_undraftable,
    reviewed,
    undraftable,
)
from outerloop.draft.settings import DraftSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, stable_id, unpack
from outerloop.runtime.errors import OuterloopError, PoisonError
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import evals
from outerloop.store.evals import EvalRecord, State

log = logging.getLogger(__name__)

SETTINGS = DraftSettings
CONSUMES = (topic_of(ModeOpened).name, topic_of(EvalReviewed).name)
# How often we look for what no event announces: more runs of a mode for which there was no eval.
LOOK_SECONDS = 60.0


class Drafter:
    """The service; see the package."""

    def __init__(self, settings: DraftSettings, bus: Bus, db: ClickHouse) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        # The second look at an opening must not run beside the first, or each would write another eval.
        self._one_at_a_time = asyncio.Lock()
        bus.subscribe(CONSUMES, self.handle, at_most=10)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Draft for opened modes; make accepted drafts binding."""
        for delivery in batch:
            if delivery.topic == topic_of(ModeOpened).name:
                await self._open(unpack(delivery, ModeOpened), delivery)
            else:
                await self._review(unpack(delivery, EvalReviewed), delivery)

    async def look(self) -> None:
        """From time to time, try again where no eval could be proven."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look_once()
            except OuterloopError as error:
                log.warning("modes without an eval wait for another look: %s", error)

    async def look_once(self) -> None:
        """Try again for each mode of which more is recorded than when there was no eval for it."""
        for kept in await evals.of_agent(self._db, "", State.UNDRAFTABLE):
            if not self._bus.holds(topic_of(ModeOpened).name, kept.agent):
                continue
            try:
                await self._again(kept)
            except OuterloopError:
                raise
            except Exception:  # what is wrong with one mode, even a bug, must not end the service for others
                log.exception("no eval for %s", kept.title)

    async def _open(self, mode: ModeOpened, cause: Delivery) -> None:
        # A mode that opens a second time, when it has regressed, gets a second eval.
        event_id = cause.headers.get("ce_id") or str(cause)
        opening = Opening(stable_id("eval", mode.mode_id, event_id), mode.agent, mode.mode_id, mode.title)
        reason = ""
        async with self._one_at_a_time:
            record = await evals.get(self._db, opening.eval_id)
            if record is None or record.state is State.UNDRAFTABLE:
                record, reason = await self._draft(opening)
                await evals.insert(self._db, record)
        await self._announce(record, reason, cause)

    async def _again(self, kept: EvalRecord) -> None:
        async with self._one_at_a_time:
            record = await evals.get(self._db, kept.eval_id) or kept
            more = await evidence.amount(self._db, kept.agent, kept.mode_id)
            if record.state is not State.UNDRAFTABLE or not more.more_than(record):
                return
            opening = Opening(kept.eval_id, kept.agent, kept.mode_id, kept.title)
            record, reason = await self._draft(opening)
            # The row last: nothing is redelivered here, and a crash before it repeats all of this.
            await self._announce(record, reason, None)
            await evals.insert(self._db, record)

    async def _draft(self, opening: Opening) -> tuple[EvalRecord, str]:
        """A new row, and why there is no eval if there is none."""
        seen = await evidence.amount(self._db, opening.agent, opening.mode_id)
        found = await evidence.gather(self._db, opening.agent, opening.mode_id, self._settings)
        made = await asyncio.to_thread(found.draft)
        if isinstance(made, Undraftable):
            log.info("no eval for %s: %s", opening.title, made.reason)
            return undraftable(opening, seen), made.reason
        failing = [f.trace.trace_id for f in found.failing]
        return drafted(opening, made, failing, self._settings.draft_margin), ""

    async def _announce(self, record: EvalRecord, reason: str, cause: Delivery | None) -> None:
        if record.state is State.UNDRAFTABLE:
            return await self._park(record, reason, cause)
        because = (record.eval_id, record.content_sha256)
        return await self._bus.publish(eval_drafted(record), because=because, cause=cause)

    async def _park(self, record: EvalRecord, reason: str, cause: Delivery | None) -> None:
        because = (record.eval_id, record.content_sha256, reason)
        await self._bus.publish(eval_undraftable(record, reason), because=because, cause=cause)

    async def _review(self, review: EvalReviewed, cause: Delivery) -> None:
        if review.review not in {REVIEW_ACCEPT, REVIEW_REJECT}:
            raise PoisonError(f"a review of eval {review.eval_id} that neither accepts nor rejects it")
        record = await evals.get(self._db, review.eval_id)
        if record is None or record.state is State.UNDRAFTABLE:
            raise PoisonError(f"a review of eval {review.eval_id}, which nobody drafted")
        if review.content_sha256 != record.content_sha256:
            raise PoisonError(
                f"a review of another version of eval {review.eval_id}: it saw"
                f" {review.content_sha256[:12]}, and the draft is {record.content_sha256[:12]}"
            )
        if record.state is not State.ACCEPTED:
            record = reviewed(record, review)
            await evals.insert(self._db, record)
        if record.state is State.ACCEPTED:
            because = (record.eval_id, record.content_sha256)
            await self._bus.publish(eval_accepted(record), because=because, cause=cause)
        else:
            await self._park(record, f"{review.reviewer} rejected its eval: {review.reason}", cause)


def wire(settings: DraftSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    return (Drafter(settings, bus, db).look,)
