"""Looking: whether a change does what it should, by the agent's tests and by runs of the visible eval.

Each of them is a step in memory of its own, with what it cost. So what looks for many settings, or at many
candidates, goes on after the last one when it is killed, and pays for no run twice but for the one it was at.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace

from outerloop.propose.purse import Purse
from outerloop.propose.record import Ended, Past, Step
from outerloop.propose.tools import CheckRun, RunEval
from outerloop.runtime.errors import OutageError, TrialNotRunError

RUNS = 3
# How often one may not happen in a session before that counts: ten minutes, as outages are waited for.
MOST_VAIN = 20
_SAID = 600
_UNPAID = "there was no money left for all of it"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of `what`: of its tests (number 0), or of one run (from 1 on).

    `said` is why it is no good; `ran`, whether it happened at all.
    """

    what: str
    number: int
    passed: bool
    said: str = ""
    ran: bool = True


class StoppedError(Exception):
    """It may not be gone on with: for now, or for want of money."""

    def __init__(self, ended: Ended, why: str) -> None:
        super().__init__(why)
        self.ended = ended
        self.why = why


class Looking:
    """What was seen so far, and is seen next; `usd`: what all of it may cost.

    `on_step` is told of each sight, and before each paid call of one; `hindrance` as in a session.
    """

    def __init__(
        self,
        past: Past,
        *,
        epoch: int,
        on_step: Callable[[Step], Awaitable[None]],
        hindrance: Callable[[], Awaitable[str]],
        usd: float,
    ) -> None:
        self.usd = past.usd
        self._most = usd
        self._epoch = epoch
        self._on_step = on_step
        self._hindrance = hindrance
        self._steps = len(past.steps)
        seen = [_sight(step) for step in past.steps]
        self._vain = sum(each is not None and not each.ran for each in seen)
        counts = self._vain > MOST_VAIN
        self._known = {(each.what, each.number): each for each in seen if each and (each.ran or counts)}

    @property
    def sights(self) -> int:
        """How much was seen."""
        return len(self._known)

    async def tests(self, what: str, run: Callable[[], Awaitable[CheckRun]]) -> Sight:
        """Whether the agent's tests pass.

        Raises:
            StoppedError: it is not gone on with.
            OutageError: it did not happen, which says nothing of the agent; it is looked at again later.
        """

        async def act(_: Purse) -> tuple[bool, str]:
            checks = await run()
            return checks.passed, "" if checks.passed else f"the tests fail: {checks.output[-300:]}"

        return await self._at(what, 0, act)

    async def run(self, what: str, number: int, run: RunEval) -> Sight:
        """Whether a run of the eval passes; raises as `tests`."""

        async def act(purse: Purse) -> tuple[bool, str]:
            ran = await run(purse)
            return ran.passed, "" if ran.passed else "; ".join(ran.reasons) or "the eval does not pass"

        return await self._at(what, number, act)

    async def _at(self, what: str, number: int, act: Callable[[Purse], Awaitable[tuple[bool, str]]]) -> Sight:
        if known := self._known.get((what, number)):
            return known
        if why := await self._hindrance():
            raise StoppedError(Ended.SUSPENDED, why)
        step = Step(number=self._steps + 1, epoch=self._epoch)

        async def tell(usd: float) -> None:
            await self._on_step(replace(step, usd=usd))

        purse = Purse(self._most - self.usd, tell)
        try:
            passed, said = await act(purse)
            sight = Sight(what, number, passed, said[:_SAID])
        except TrialNotRunError as error:
            sight = Sight(what, number, passed=False, said=f"it could not be run: {error}"[:_SAID], ran=False)
        self.usd += purse.usd
        self._steps += 1
        if purse.empty:  # what it has cost stays; it is seen anew if there is money again
            await self._on_step(_step(step, sight, _UNPAID, purse.usd))
            raise StoppedError(Ended.BUDGET, f"${self.usd:.2f} of ${self._most:.2f} are spent")
        await self._on_step(_step(step, sight, json.dumps(asdict(sight), ensure_ascii=False), purse.usd))
        self._vain += not sight.ran
        if not sight.ran and self._vain <= MOST_VAIN:
            raise OutageError(f"{what}: {sight.said}")
        self._known[what, number] = sight
        return sight


def _step(step: Step, sight: Sight, said: str, usd: float) -> Step:
    asked = f"{sight.what}: {f'run {sight.number}' if sight.number else 'tests'}"
    content, reply = ([{"type": "text", "text": text}] for text in (asked, said))
    return replace(step, content=content, reply=reply, usd=usd)


def _sight(step: Step) -> Sight | None:
    """A sight as it was stored; None for one that was not whole, and for an earlier release's."""
    try:
        return Sight(**json.loads((step.reply or [])[0]["text"]))
    except (IndexError, TypeError, ValueError):
        return None
