"""The worker's port at which the pods of its trials call back; open while there is a trial.

A Call is one trial's side of it: what its pod is given, and the channels that the pod has opened. What has no
token of a trial that runs is hung up on. See kubernetes_wire for the channels.
"""

import asyncio
import contextlib
import secrets
import socket
from asyncio import Future, StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from outerloop.trial.kubernetes_wire import CHUNK, HELLO, WHOLE, Streams, splice

CHANNELS = ("control", "stdin", "stdout", "stderr")
MOST_RELAYS = 256  # connections of one command to its loopback port at once; one more is refused
_GRACE = 2.0  # seconds for what should happen at once
_PATIENCE = 10.0  # seconds for a caller to say who it is


class Call:
    """One trial's connections. `tree` is the tar file its pod fetches, `loopback` where relays lead."""

    def __init__(self, tree: BinaryIO, loopback: socket.socket | None) -> None:
        self.token = secrets.token_urlsafe(32)
        self._tree = tree
        self._loopback: tuple[str, int] | None = loopback.getsockname() if loopback else None
        loop = asyncio.get_running_loop()
        self._channels: dict[str, Future[Streams]] = {name: loop.create_future() for name in CHANNELS}
        self._writers: set[StreamWriter] = set()
        self._relays = 0

    async def channel(self, name: str) -> Streams:
        """A channel, once the pod has opened it."""
        return await asyncio.shield(self._channels[name])

    async def take(self, name: str, streams: Streams) -> None:
        """Serves one connection of the pod, or keeps it for whoever waits for that channel."""
        self._writers.add(streams[1])
        waiting = self._channels.get(name)
        if waiting and not waiting.done():
            waiting.set_result(streams)
            return
        try:
            if name == "tree":
                await self._send(streams[1])
            elif name == "relay" and self._loopback and self._relays < MOST_RELAYS:
                await self._relay(streams, self._loopback)
        finally:
            streams[1].close()
            self._writers.discard(streams[1])

    async def _send(self, writer: StreamWriter) -> None:
        """Sends the tree; reads of a file that was written just now do not block for long."""
        self._tree.seek(0)
        while data := self._tree.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write(WHOLE)

    async def _relay(self, streams: Streams, to: tuple[str, int]) -> None:
        self._relays += 1
        try:
            await splice(streams, await asyncio.open_connection(*to))
        finally:
            self._relays -= 1

    async def hang_up(self, seconds: float = _GRACE) -> bool:
        """Ends everything in the pod, if it has called; False when it did not hear that within so long.

        Nobody else may read from `control` at that time.
        """
        control = self._channels["control"]
        if not control.done():
            return True
        reader, writer = control.result()
        with contextlib.suppress(OSError, TimeoutError):
            if not writer.is_closing():
                writer.write_eof()
            async with asyncio.timeout(seconds):
                await reader.read()  # the pod hangs up, too, when all is ended
                return True
        writer.transport.abort()
        return False

    def close(self) -> None:
        """Hangs up on all of the pod's connections."""
        for future in self._channels.values():
            future.cancel()
        for writer in self._writers:
            writer.close()


class Front:
    """The port; 0 is any free one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._calls: dict[str, Call] = {}
        self._server: asyncio.Server | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def admitted(self, call: Call) -> AsyncIterator[int]:
        """Lets the call's pod in, and hangs up on it at the end; the port's number.

        Raises:
            OSError: when the port is taken.
        """
        async with self._opening:
            if self._server is None:
                self._server = await asyncio.start_server(self._called, sock=_socket(self._port))
            port: int = self._server.sockets[0].getsockname()[1]
            self._calls[call.token] = call
        try:
            yield port
        finally:
            del self._calls[call.token]
            call.close()
            if not self._calls:
                self._server.close()
                self._server = None

    async def _called(self, reader: StreamReader, writer: StreamWriter) -> None:
        call = None
        with contextlib.suppress(OSError, EOFError, TimeoutError, ValueError):
            async with asyncio.timeout(_PATIENCE):
                token, _, channel = (await reader.readexactly(HELLO)).decode("ascii").strip().partition(" ")
            if call := self._calls.get(token):
                await call.take(channel, (reader, writer))
        if call is None:
            writer.close()


def _socket(port: int) -> socket.socket:
    """A listening socket on every address of this machine, of both kinds where it has both."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    return socket.create_server(("", port), backlog=1024)
