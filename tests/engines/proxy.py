"""A TCP proxy on loopback whose connections can be cut, for tests of what a network does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK_BYTES = 1 << 18


class Proxy:
    """Listens on `port` and passes bytes on to 127.0.0.1:`target`, whoever listens there at the time."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._away = False

    def cut(self) -> int:
        """Reset every connection, in the middle of whatever goes over it; tells how many there were."""
        cut = len(self._open)
        for writer in list(self._open):
            writer.transport.abort()
        return cut

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Nothing gets through in the block."""
        self._away = True
        self.cut()
        try:
            yield
        finally:
            self._away = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end; reset at once where nobody listens behind."""
        both = {writer}
        try:
            if self._away:
                return
            there = await asyncio.open_connection("127.0.0.1", self._target)
            both.add(there[1])
            self._open |= both
            ways = [_pass_on(reader, there[1]), _pass_on(there[0], writer)]
            await asyncio.wait(map(asyncio.ensure_future, ways), return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            return
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()


@contextlib.asynccontextmanager
async def proxy(port: int, target: int) -> AsyncIterator[Proxy]:
    """A proxy that listens while the block lasts."""
    one = Proxy(port, target)
    server = await asyncio.start_server(one.serve, "127.0.0.1", port)
    try:
        yield one
    finally:
        server.close()
        one.cut()
        await server.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
