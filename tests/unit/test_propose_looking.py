"""Looking: each look is a step, so that whoever goes on pays for nothing again."""

import asyncio
from dataclasses import replace

import pytest

from outerloop.propose.looking import MOST_VAIN, Looking, StoppedError
from outerloop.propose.purse import Purse
from outerloop.propose.record import Ended, Past, Step
from outerloop.propose.tools import CheckRun, EvalRun
from outerloop.runtime.errors import OutageError, TrialNotRunError
from outerloop.trace.model import Trace


class Room:
    """An agent whose tests and runs are `made`, in order, and the memory of who looks at it."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.rows: dict[tuple[int, int], Step] = {}
        self.epoch = 0
        self.why = ""
        self.ends: BaseException | None = None

    def looking(self, usd: float = 10.0) -> Looking:
        """Taken up anew: by what stands in memory."""
        self.epoch += 1
        steps = sorted((s for s in self.rows.values() if s.reply is not None), key=lambda step: step.number)
        past = Past(steps, sum(row.usd for row in self.rows.values()))
        return Looking(past, epoch=self.epoch, on_step=self._keep, hindrance=self._hindrance, usd=usd)

    @property
    def usd(self) -> float:
        return sum(row.usd for row in self.rows.values())

    async def _keep(self, step: Step) -> None:
        self.rows[step.number, step.epoch] = step

    async def _hindrance(self) -> str:
        return self.why

    async def tests(self) -> CheckRun:
        self.made.append("tests")
        return CheckRun(passed=True, output="")

    async def run(self, purse: Purse, on: Trace | None = None) -> EvalRun:
        """Asks the model twice: a dollar at most, a quarter in the end."""
        self.made.append("run")
        for _ in range(2):
            if not await purse.begin(1.0):
                raise TrialNotRunError("there was no money left for a call of its model")
            if self.ends:
                raise self.ends
            purse.end(1.0, 0.25)
        return EvalRun(passed=True, reasons=(), trace=None)


async def test_what_was_seen_is_not_looked_at_again() -> None:
    room = Room()
    for _ in range(2):
        looking = room.looking()
        assert (await looking.tests("a", room.tests)).passed
        assert (await looking.run("a", 1, room.run)).passed
        assert (await looking.run("a", 2, room.run)).passed
        assert (looking.sights, looking.usd) == (3, 1.0)
    assert room.made == ["tests", "run", "run"]
    assert [step.number for step in room.rows.values()] == [1, 2, 3]


@pytest.mark.parametrize("kill", [asyncio.CancelledError(), OutageError("no sandbox")])
async def test_a_look_that_is_killed_is_taken_again_and_what_it_may_have_cost_is_spent(
    kill: BaseException,
) -> None:
    room = Room()
    looking = room.looking()
    await looking.run("a", 1, room.run)
    room.ends = kill
    with pytest.raises(type(kill)):
        await looking.run("a", 2, room.run)
    assert room.usd == 0.5 + 1.0
    room.ends = None
    looking = room.looking()
    await looking.run("a", 1, room.run)
    await looking.run("a", 2, room.run)
    assert room.made == ["run"] * 3
    assert looking.usd == room.usd == 0.5 + 1.0 + 0.5


async def test_a_pause_stops_it_between_two_looks() -> None:
    room = Room()
    looking = room.looking()
    await looking.run("a", 1, room.run)
    room.why = "paused by ada"
    assert (await looking.run("a", 1, room.run)).passed  # it is known: nothing is paid for
    with pytest.raises(StoppedError, match="paused by ada") as stopped:
        await looking.run("a", 2, room.run)
    assert stopped.value.ended is Ended.SUSPENDED
    assert room.made == ["run"]


async def test_no_look_passes_what_all_may_cost_and_one_without_money_speaks_against_nobody() -> None:
    room = Room()
    looking = room.looking(usd=2.2)
    await looking.run("a", 1, room.run)
    await looking.run("a", 2, room.run)
    with pytest.raises(StoppedError, match=r"\$1\.25 of \$2\.20 are spent") as stopped:
        await looking.run("a", 3, room.run)
    assert stopped.value.ended is Ended.BUDGET
    assert looking.usd == room.usd == 1.25  # half of the third one
    looking = room.looking(usd=10.0)  # another day
    assert (await looking.run("a", 3, room.run)).passed
    assert room.usd == 1.75
    assert sorted(number for number, _ in room.rows) == [1, 2, 3, 4]


async def test_a_run_that_did_not_happen_is_waited_for_and_not_for_ever() -> None:
    room = Room()
    looking = room.looking()
    await looking.run("a", 1, room.run)
    room.ends = TrialNotRunError("the model is away")
    for _ in range(MOST_VAIN):
        looking = room.looking(usd=1000.0)
        with pytest.raises(OutageError, match="a: it could not be run: the model is away"):
            await looking.run("a", 2, room.run)
    sight = await looking.run("a", 2, room.run)
    assert (sight.passed, sight.ran, sight.said) == (False, False, "it could not be run: the model is away")
    assert await room.looking(usd=1000.0).run("a", 2, room.run) == sight
    assert len(room.made) == 1 + MOST_VAIN + 1


async def test_what_an_earlier_release_has_seen_is_seen_anew() -> None:
    room = Room()
    await room.looking().tests("a", room.tests)
    (row,) = room.rows.values()
    room.rows[1, 1] = replace(row, reply=[{"type": "text", "text": '{"setting": "a", "passed": true}'}])
    await room.looking().tests("a", room.tests)
    assert room.made == ["tests"] * 2
    assert sorted(number for number, _ in room.rows) == [1, 2]
