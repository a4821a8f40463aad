"""Announce: what became of an eval, as the message that tells of it. Twice the same is the same event."""

from outerloop.draft.record import (
    Opening,
    eval_accepted,
    eval_drafted,
    eval_linked,
    eval_retired,
    eval_undraftable,
    never_gates,
)
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.store import evals
from outerloop.store.evals import EvalRecord, State


class Announcer:
    """Publishes for draft."""

    def __init__(self, bus: Bus, db: ClickHouse) -> None:
        self._bus = bus
        self._db = db

    async def announce(self, record: EvalRecord, cause: Delivery | None) -> None:
        """Tell how far the eval is; nothing while it is being proven."""
        content = (record.eval_id, record.content_sha256)
        match record.state:
            case State.DRAFTED:
                await self._bus.publish(eval_drafted(record), because=content, cause=cause)
            case State.ACCEPTED:
                await self._bus.publish(eval_accepted(record), because=content, cause=cause)
                if not record.gates and not await self._replaced(record):
                    # Nothing is proposed for it, so its mode would wait for ever.
                    await self.park(record, never_gates(record), cause)
            case State.RETIRED:
                await self._bus.publish(eval_retired(record), because=content, cause=cause)
            case State.UNDRAFTABLE:
                await self.park(record, record.reason, cause)
            case State.LINKED:
                by = await evals.get(self._db, record.linked_eval)
                message = eval_linked(record, by.mode_id if by else "")
                await self._bus.publish(message, because=(record.eval_id, record.linked_eval), cause=cause)
            case State.PROVING | State.REJECTED | State.SET_ASIDE:
                pass

    async def _replaced(self, record: EvalRecord) -> bool:
        """Whether another eval was drafted in its place: its mode goes that one's way."""
        return await evals.get(self._db, Opening.of(record).again().eval_id) is not None

    async def park(self, record: EvalRecord, reason: str, cause: Delivery | None) -> None:
        """Tell that a mode has no eval, and why."""
        because = (record.eval_id, record.content_sha256, reason)
        await self._bus.publish(eval_undraftable(record, reason), because=because, cause=cause)
