"""Wiring of draft: opened modes in, proven drafts out; reviews in, binding evals out."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from outerloop.contracts.v1.eval_pb2 import EvalImported, EvalReviewed
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.draft import evidence
from outerloop.draft.announce import Announcer
from outerloop.draft.asking import Asker
from outerloop.draft.base import Base
from outerloop.draft.core.linked import Caught
from outerloop.draft.core.measure import Draft, Undraftable
from outerloop.draft.evidence import Evidence
from outerloop.draft.imports import imported
from outerloop.draft.proving import Proving
from outerloop.draft.record import Opening, Writing, drafted, linked, undraftable
from outerloop.draft.reviews import Reviews
from outerloop.draft.settings import DraftSettings
from outerloop.draft.wording import Wording
from outerloop.draft.writer import Writer, written_by
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, stable_id, unpack
from outerloop.runtime.errors import OuterloopError, UserError
from outerloop.runtime.pause import Pauses, Why, never
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import evals, heldout, modes
from outerloop.store.evals import EvalRecord, State

log = logging.getLogger(__name__)

SETTINGS = DraftSettings
CONSUMES = (topic_of(ModeOpened).name, topic_of(EvalReviewed).name, topic_of(EvalImported).name)
# What is heard as news, in no consumer group.
HEARS = (topic_of(LoopPaused).name,)
# How often we look for what no event announces: more runs of a mode for which there was no eval.
LOOK_SECONDS = 60.0


class Drafter:
    """The service; see the package."""

    def __init__(self, settings: DraftSettings, bus: Bus, db: ClickHouse, paused: Why = never) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._base = Base(settings, db, paused)
        asker = Asker(settings, db) if settings.draft_model and settings.anthropic_api_key else None
        self._writer = Writer(settings, asker) if asker else None
        self._wording = Wording(asker) if asker else None
        self._announcer = Announcer(bus, db)
        self.proving = Proving(settings, bus, db, self._base, self._instead_at_once)
        self._reviews = Reviews(settings, db, self._announcer, self._instead)
        # The second look at an opening must not run beside the first, or each would write another eval.
        self._one_at_a_time = asyncio.Lock()
        bus.subscribe(CONSUMES, self.handle, at_most=10)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Draft for opened modes; take people's verdicts, and evals that they bring along."""
        for delivery in batch:
            if delivery.topic == topic_of(ModeOpened).name:
                await self._open(unpack(delivery, ModeOpened), delivery)
            elif delivery.topic == topic_of(EvalImported).name:
                await self._import(unpack(delivery, EvalImported), delivery)
            else:
                async with self._one_at_a_time:
                    await self._reviews.take(unpack(delivery, EvalReviewed), delivery)

    async def _import(self, message: EvalImported, cause: Delivery) -> None:
        async with self._one_at_a_time:
            record = await evals.get(self._db, message.eval_id)
            if record is None:
                state = State.PROVING if self._base.can_ask(message.agent) else State.DRAFTED
                record = imported(message, state)
                await evals.insert(self._db, record)
        if record.state is not State.REJECTED:
            await self._announcer.announce(record, cause)

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
        missing = await evals.missing(self._db)
        muted = await modes.muted(self._db, [kept.mode_id for kept in missing])
        for kept in (each for each in missing if each.mode_id not in muted):
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
        async with self._one_at_a_time:
            record = await evals.get(self._db, opening.eval_id)
            if record is None or record.state is State.UNDRAFTABLE:
                record = await self._draft(opening)
                await evals.insert(self._db, record)
        if record.state is not State.REJECTED:  # a redelivery: what came of the review is told by the review
            await self._announcer.announce(record, cause)

    async def _again(self, kept: EvalRecord) -> None:
        async with self._one_at_a_time:
            record = await evals.get(self._db, kept.eval_id) or kept
            more = await evidence.amount(self._db, kept.agent, kept.mode_id)
            if record.state is not State.UNDRAFTABLE or not more.more_than(record):
                return
            record = await self._draft(Opening.of(kept))
            # The row last: nothing is redelivered here, and a crash before it repeats all of this.
            await self._announcer.announce(record, None)
            await evals.insert(self._db, record)

    async def _instead(self, record: EvalRecord) -> EvalRecord | None:
        """A new row in place of a draft that is rejected, or that the base passes; see Instead."""
        if record.tries >= self._settings.draft_tries:
            return None
        # Its id follows from that of this one: told again, it is there already.
        opening = Opening.of(record).again()
        made = await evals.get(self._db, opening.eval_id) or await self._draft(opening)
        if not made.eval_yaml:
            log.info("no other eval for %s: %s", record.title, made.reason)
        return made if made.eval_yaml else None

    async def _instead_at_once(self, record: EvalRecord) -> EvalRecord | None:
        async with self._one_at_a_time:
            return await self._instead(record)

    async def _draft(self, opening: Opening) -> EvalRecord:
        """A new row: a draft, or why there is none."""
        seen = await evidence.amount(self._db, opening.agent, opening.mode_id)
        found = await evidence.gather(self._db, opening.agent, opening.mode_id, self._settings)
        found = found.anew() if opening.tries == 1 else found
        made = await asyncio.to_thread(found.draft, self._settings.draft_mutants)
        by_rules = made
        if self._writer is not None and not isinstance(made, Caught):
            try:
                if await self._base.can_pay(opening.agent):
                    made = await self._writer.better(opening, found, made)
            except UserError as error:  # a setting is wrong: that keeps no mode from what the rules can say
                log.warning("the model drafts nothing: %s", error)
        if isinstance(made, Undraftable):
            log.info("no eval for %s: %s", opening.title, made.reason)
            return undraftable(opening, seen, made.reason)
        if isinstance(made, Caught):
            return linked(opening, seen, made)
        writing = Writing() if made is by_rules else written_by(self._settings.draft_model)
        return await self._with_variants(opening, made, found, writing)

    async def _with_variants(
        self, opening: Opening, made: Draft, found: Evidence, writing: Writing
    ) -> EvalRecord:
        """The row of a draft whose held-out variants are stored."""
        can_ask, most = self._base.can_ask(opening.agent), self._settings.draft_variants
        held = await asyncio.to_thread(found.variants, made, (), most)
        if can_ask and len(held) < most:
            words = await self._words(opening, made.exemplar.request, most - len(held))
            held = await asyncio.to_thread(found.variants, made, words, most, opening.eval_id)
        record, entry = drafted(
            opening, made, found, held=held, writing=writing, margin=self._settings.draft_margin
        )
        await heldout.insert(self._db, entry)
        return replace(record, state=State.PROVING) if can_ask else record

    async def _words(self, opening: Opening, request: str, most: int) -> list[str]:
        """A request as a model words it; none without a model."""
        if self._wording is None:
            return []
        try:
            pays = await self._base.can_pay(opening.agent)
            return await self._wording.of(opening, request, most) if pays else []
        except UserError as error:  # a setting is wrong, as above
            log.warning("the model words nothing: %s", error)
            return []


def wire(settings: DraftSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    drafter = Drafter(settings, bus, db, Pauses(bus).why)
    return (drafter.look, drafter.proving.work)
