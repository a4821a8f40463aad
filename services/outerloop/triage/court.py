"""What people rule of modes, and the failures that move by it."""

from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.eval_pb2 import REVIEW_MUTE, REVIEW_NOT_A_FAILURE, EvalReviewed
from outerloop.contracts.v1.mode_pb2 import (
    RULING_MERGE,
    RULING_MUTE,
    RULING_OPEN,
    RULING_SPLIT,
    RULING_UNMUTE,
    ModeRuled,
)
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import PoisonError
from outerloop.store import evals, modes, rulings, verdicts
from outerloop.store.modes import Mode, State
from outerloop.store.rulings import Ruling
from outerloop.triage.core.rulings import home_of, split_id
from outerloop.triage.openings import Openings

_NAMES = {
    RULING_MERGE: "merge",
    RULING_SPLIT: "split",
    RULING_MUTE: "mute",
    RULING_UNMUTE: "unmute",
    RULING_OPEN: "open",
}
_MUTING = {REVIEW_NOT_A_FAILURE: "no failure", REVIEW_MUTE: "muted"}
# No batch is so long in the making that it would not know a ruling by then.
_SETTLED_AFTER = timedelta(hours=1)


class Rulings:
    """Carries rulings out; done again, they change nothing."""

    def __init__(self, db: ClickHouse, openings: Openings) -> None:
        self._db = db
        self._openings = openings

    async def ruled(self, message: ModeRuled) -> None:
        """A person has ruled on a mode."""
        mode = await modes.get(self._db, message.mode_id)
        if message.ruling not in _NAMES or mode is None:
            raise PoisonError(f"ruling {message.ruling_id} is on no mode that is known: {message.mode_id!r}")
        ruling = _row(message, mode)
        match message.ruling:
            case m if m == RULING_MERGE:
                await self._merge(ruling)
            case s if s == RULING_SPLIT:
                await self._split(ruling, mode)
            case _:
                await self._step(ruling, mode)

    async def reviewed(self, message: EvalReviewed, cause: str) -> None:
        """A person has said of a draft that its mode is no failure, or is not to be worked on."""
        record = await evals.get(self._db, message.eval_id)
        if message.review not in _MUTING or record is None:
            return
        detail = f"{_MUTING[message.review]}: {message.reason} ({message.reviewer})"
        at = message.reviewed_at.ToDatetime(UTC)
        await modes.enter(self._db, record.mode_id, State.MUTED, cause, at=at, detail=detail)

    async def tidy(self, agent: str) -> None:
        """Move what a replica put into a mode that was being merged or split at that moment."""
        for ruling in (await rulings.moving(self._db, [agent])).get(agent, []):
            if datetime.now(UTC) - ruling.ruled_at < _SETTLED_AFTER:
                await self._move(ruling)

    async def _merge(self, ruling: Ruling) -> None:
        into = await modes.get(self._db, ruling.into_mode_id)
        if into is None or into.agent != ruling.agent:
            raise PoisonError(f"ruling {ruling.ruling_id} merges into no mode of {ruling.agent}")
        moves = (await rulings.moving(self._db, [ruling.agent])).get(ruling.agent, [])
        if home_of(into.mode_id, "", moves) == ruling.mode_id:
            raise PoisonError(f"ruling {ruling.ruling_id} merges {ruling.mode_id} into itself")
        await rulings.insert(self._db, ruling)
        detail = f"into {into.title}: {ruling.why}"
        await self._enter(ruling, State.MERGED, detail)
        await self._move(ruling)
        await self._openings.look(ruling.agent, [into.mode_id])

    async def _split(self, ruling: Ruling, mode: Mode) -> None:
        new = Mode(
            mode_id=ruling.into_mode_id,
            agent=mode.agent,
            title=ruling.title or f"{mode.title} ({ruling.containing})",
            fingerprint=f"{mode.fingerprint}|{ruling.containing}",
            kind=mode.kind,
            opened_at=ruling.ruled_at,
            description=mode.description,
            gravity=mode.gravity,
        )
        await modes.insert(self._db, new)
        await rulings.insert(self._db, ruling)
        await self._move(ruling)
        await self._openings.look(ruling.agent, [new.mode_id])

    async def _step(self, ruling: Ruling, mode: Mode) -> None:
        await rulings.insert(self._db, ruling)
        if ruling.ruling == "mute":
            return await self._enter(ruling, State.MUTED, ruling.why)
        await self._enter(ruling, State.UNMUTED, ruling.why)
        if ruling.ruling == "unmute":
            return await self._openings.look(mode.agent, [mode.mode_id])
        await self._openings.again(mode, ruling.ruling_id)
        return await self._enter(ruling, State.OPEN, ruling.why)

    async def _move(self, ruling: Ruling) -> None:
        await verdicts.move(self._db, ruling.mode_id, ruling.into_mode_id, ruling.containing)

    async def _enter(self, ruling: Ruling, state: State, detail: str) -> None:
        said = f"{detail} ({ruling.ruled_by})"
        await modes.enter(self._db, ruling.mode_id, state, ruling.ruling_id, at=ruling.ruled_at, detail=said)


def _row(message: ModeRuled, mode: Mode) -> Ruling:
    split = message.ruling == RULING_SPLIT
    if split and not message.containing.strip():
        raise PoisonError(f"ruling {message.ruling_id} splits {message.mode_id} by no text")
    return Ruling(
        agent=mode.agent,
        ruling_id=message.ruling_id,
        mode_id=mode.mode_id,
        ruling=_NAMES[message.ruling],
        into_mode_id=split_id(mode.mode_id, message.containing) if split else message.into_mode_id,
        containing=message.containing if split else "",
        title=message.title,
        why=message.why,
        ruled_by=message.ruled_by,
        ruled_at=message.ruled_at.ToDatetime(UTC),
    )
