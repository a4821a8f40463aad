"""Modes become work for the loop. All failures of an agent come to one replica, so none is opened twice."""

from collections.abc import Collection, Sequence

from outerloop.contracts.v1.failure_pb2 import FailureDetected
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.store import modes, verdicts
from outerloop.store.modes import Mode, State
from outerloop.triage.record import opening_of

_EXAMPLES = 20


class Openings:
    """Opens modes with `opens_at` failing traces or more; one that a person has muted waits until unmuted."""

    def __init__(self, bus: Bus, db: ClickHouse, opens_at: int) -> None:
        self._bus = bus
        self._db = db
        self._opens_at = opens_at

    async def detected(self, batch: Sequence[Delivery]) -> None:
        """Open the modes of these failures that are due."""
        touched: dict[str, set[str]] = {}
        for delivery in batch:
            failure = unpack(delivery, FailureDetected)
            touched.setdefault(failure.agent, set()).add(failure.mode_id)
        for agent, mode_ids in touched.items():
            await self.look(agent, mode_ids)

    async def look(self, agent: str, mode_ids: Collection[str]) -> None:
        """Open those of an agent's modes that are due."""
        asked = sorted(mode_ids)
        waiting = set(asked) - await modes.opened(self._db, asked) - await modes.muted(self._db, asked)
        if not waiting:
            return
        counts = await verdicts.counts(self._db, agent, sorted(waiting))
        for mode_id, count in counts.items():
            mode = await modes.get(self._db, mode_id)
            if mode and count >= self._opens_at:
                await self._announce(mode, (mode_id,))
                # When it was first seen: that comes before every other step, also where this is done late.
                await modes.enter(self._db, mode_id, State.OPEN, cause="opened", at=mode.opened_at)

    async def again(self, mode: Mode, because: str) -> None:
        """Announce a mode anew, whatever became of it; `because` names what asks for that."""
        await self._announce(mode, (mode.mode_id, because))

    async def _announce(self, mode: Mode, because: tuple[str, ...]) -> None:
        failing = await verdicts.failing(self._db, mode.mode_id, _EXAMPLES)
        message = opening_of(mode, [trace_id for trace_id, _ in failing])
        await self._bus.publish(message, because=because)
