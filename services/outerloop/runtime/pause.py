"""Pause: what a person has stopped. Every replica that spends money reads the topic, and nothing else."""

import logging
from collections.abc import Awaitable, Callable

from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.runtime.bus import Bus
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.errors import PoisonError
from outerloop.runtime.topics import topic_of

log = logging.getLogger(__name__)

# Why nothing may be spent on an agent now, "" if it may.
Why = Callable[[str], Awaitable[str]]

# Of every agent, whatever is said of each.
EVERY = "*"
_WAIT_MS = 100


class Pauses:
    """What is paused now; to be made before the bus is entered."""

    def __init__(self, bus: Bus) -> None:
        self._said: dict[str, LoopPaused] = {}
        self._listening = bus.listen(
            [topic_of(LoopPaused).name], self._hear, wait_ms=_WAIT_MS, from_start=True
        )

    async def why(self, agent: str) -> str:
        """Why nothing may be spent on an agent now, "" if it may: in the first call after all was heard.

        Raises:
            OutageError: when Kafka is away, so that nobody knows.
        """
        await self._listening.caught_up()
        return self.known(agent)

    def known(self, agent: str) -> str:
        """The same, by what was heard so far."""
        for name in (EVERY, agent):
            said = self._said.get(name)
            if said is not None and said.paused:
                what = "the loop is" if name == EVERY else f"{agent} is"
                return f"{what} paused by {said.by}: {said.reason or 'no reason given'}"
        return ""

    def _hear(self, delivery: Delivery) -> None:
        try:
            said = unpack(delivery, LoopPaused)
        except PoisonError as error:
            log.error("a pause that cannot be read is left out: %s", error)  # noqa: TRY400 - the sentence is all
            return
        self._said[said.agent] = said


async def never(_agent: str) -> str:
    """A `Why` for where nobody can pause: a person's own check, who sees the bill."""
    return ""
