"""How much of what senders send may be in memory at once: each request takes its share first."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Self

from outerloop.runtime import metrics
from outerloop.runtime.errors import OutageError

_PATIENCE_SECONDS = 1.0  # a sender that waits holds a connection, so not for long


class BusyError(OutageError):
    """Too much is under way; it may come again."""


class Memory:
    """`total` bytes, given out in the order in which they are asked for."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait for so many bytes.

        Raises:
            BusyError: when there is no room for a while.
        """
        if self._waiting or self._free < size:
            place = (size, asyncio.get_running_loop().create_future())
            self._waiting.append(place)
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await place[1]
            except BaseException as error:
                self._leave(place)
                if isinstance(error, TimeoutError):
                    metrics.OTLP_BUSY.inc()
                    raise BusyError("too much is under way to Kafka; please come again") from None
                raise
        else:
            self._free -= size
        metrics.OTLP_PENDING.inc(size)

    def give(self, size: int) -> None:
        """Bytes that are not needed any more."""
        metrics.OTLP_PENDING.dec(size)
        self._give(size)

    def _give(self, size: int) -> None:
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, place = self._waiting.popleft()
            if not place.done():
                self._free -= wanted
                place.set_result(None)

    def _leave(self, place: tuple[int, asyncio.Future[None]]) -> None:
        if place in self._waiting:
            self._waiting.remove(place)
        elif place[1].done() and not place[1].cancelled():
            self._give(place[0])  # it was given at the very moment
        self._give(0)  # those behind may want less


class Room:
    """The bytes that one request holds: in the block, and until Kafka has taken what it sent."""

    def __init__(self, memory: Memory, most: int) -> None:
        self._memory = memory
        self._held = most
        self._sending: asyncio.Future[Any] | None = None

    async def __aenter__(self) -> Self:
        await self._memory.take(self._held)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sending and not self._sending.done():
            self._sending.add_done_callback(lambda _: self.shrink(0))
        else:
            self.shrink(0)

    def shrink(self, size: int) -> None:
        """Hold what it turned out to be, which is no more than what it might have been."""
        self._memory.give(self._held - size)
        self._held = size

    def until(self, sending: asyncio.Future[Any]) -> None:
        """Hold it until then at least."""
        self._sending = sending
