"""Following: a mode that another mode's eval catches goes its way, as events are sent of that mode alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import evals, modes, verdicts
from outerloop.store.evals import Link
from outerloop.store.modes import State, Step
from outerloop.triage.openings import Openings

# The steps of the other mode that are its own too, and the states from which it follows.
_SHARED = {State.PROPOSED, State.PARKED, State.CLOSED, State.REGRESSED}
_FOLLOWS = {State.DRAFTING, *_SHARED}
_MUTED = "that mode is muted, and nobody works on it"
_NEXT = timedelta(milliseconds=1)  # times are stored so exactly


class Following:
    """Looks at the modes without an eval of their own; opens those with `opens_at` failures since closed."""

    def __init__(self, db: ClickHouse, openings: Openings, opens_at: int) -> None:
        self._db = db
        self._openings = openings
        self._opens_at = opens_at

    async def visit(self, agent: str, now: datetime) -> None:
        """Move an agent's linked modes on; what is done again changes nothing."""
        links = await evals.links(self._db, agent)
        named = [*(link.mode_id for link in links), *(link.by_mode for link in links)]
        life = await modes.latest(self._db, named) if links else {}
        muted = await modes.muted(self._db, named) if links else set[str]()
        for link in _led(links):
            own, other = life.get(link.mode_id), life.get(link.by_mode)
            if own is None or own.state not in _FOLLOWS or other is None:
                continue
            if link.by_mode in muted and other.state is not State.CLOSED:
                other = replace(other, state=State.PARKED, detail=_MUTED)
            if other.state in _SHARED and other.state is not own.state:
                await self._follow(link, own, other)
            elif own.state is State.CLOSED:
                await self._recurs(agent, link, own, now)

    async def _follow(self, link: Link, own: Step, other: Step) -> None:
        why = f": {other.detail}" if other.detail else ""
        await modes.enter(
            self._db,
            link.mode_id,
            other.state,
            f"follows {link.by_mode} {other.at.isoformat()} from {own.at.isoformat()}",
            at=max(other.at, own.at + _NEXT),
            detail=f"as mode {link.by_mode[:8]}, whose eval {link.eval_id[:8]} catches it{why}",
        )

    async def _recurs(self, agent: str, link: Link, own: Step, now: datetime) -> None:
        """Open a mode that fails on after what closed it was deployed: no release is watched for it."""
        since = own.at + evals.DEPLOYED
        count = await verdicts.count_since(self._db, agent, link.mode_id, since)
        mode = await modes.get(self._db, link.mode_id)
        if mode is None or count < self._opens_at or await modes.muted(self._db, [link.mode_id]):
            return
        cause = f"recurs {own.at.isoformat()}"
        await self._openings.again(mode, cause)
        detail = f"{count} failures since a day after it was closed"
        await modes.enter(self._db, link.mode_id, State.OPEN, cause, at=now, detail=detail)


def _led(links: Sequence[Link]) -> list[Link]:
    """Each link to the end of its chain; those that go in a circle lead nowhere."""
    by, led = {link.mode_id: link for link in links}, list[Link]()
    for link in links:
        seen, end = {link.mode_id}, link
        while end.by_mode in by and end.by_mode not in seen:
            seen.add(end.by_mode)
            end = by[end.by_mode]
        if end.by_mode not in seen:
            led.append(replace(end, mode_id=link.mode_id))
    return led
