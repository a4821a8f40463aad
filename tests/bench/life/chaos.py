"""Chaos: kill -9 the gate at random moments of its life, and start it again, as Kubernetes would.

Most moments are uniform over the time that the gate works. Some are aimed where a crash would hurt most: at
once after a push, when the commit is out and neither event nor row is.
"""

import asyncio
from collections.abc import Callable
from random import Random

from bench.life.proposer import Proposer
from bench.life.world import World

_AIMED = 5  # one kill in so many
_LOOK_SECONDS = 0.002
_LATEST_SECONDS = 0.05  # after a push
_SHORTEST_SECONDS = 0.3


class Chaos:
    """Kills as often as it is told to."""

    def __init__(
        self, world: World, proposer: Proposer, *, kills: int, seed: int, say: Callable[[str], None]
    ) -> None:
        self.killed = 0
        self.after_push = 0
        self._world = world
        self._proposer = proposer
        self._kills = kills
        self._random = Random(f"chaos/{seed}")  # noqa: S311 - repeatable by design
        self._say = say
        self._one_at_a_time = asyncio.Lock()
        self._ref = world.remote / "refs" / "heads" / "main"

    async def strike(self) -> None:
        """Until all are done; runs beside the life."""
        aimed = -(-self._kills // _AIMED)
        await asyncio.gather(self._after_pushes(aimed), self._at_random(self._kills - aimed))

    async def _at_random(self, kills: int) -> None:
        for left in range(kills, 0, -1):
            mean = max(_SHORTEST_SECONDS, self._proposer.expected_left / (left + 1))
            await asyncio.sleep(max(_SHORTEST_SECONDS, self._random.expovariate(1 / mean)))
            async with self._one_at_a_time:
                await self._kill()

    async def _after_pushes(self, kills: int) -> None:
        for _ in range(kills):
            await self._until_pushed()
            async with self._one_at_a_time:
                await self._kill()
                self.after_push += 1

    async def _kill(self) -> None:
        await self._world.stack.kill("gate")
        self.killed += 1
        await self._world.stack.start("gate")
        self._say(f"    kill -9 of the gate, {self.killed} of {self._kills}; it is back")

    async def _until_pushed(self) -> None:
        """Until a moment after the release branch has moved."""
        before = self._moved_at()
        while self._moved_at() == before:  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(self._random.uniform(0, _LATEST_SECONDS))

    def _moved_at(self) -> int:
        try:
            return self._ref.stat().st_mtime_ns
        except FileNotFoundError:  # at the moment of being replaced
            return 0
