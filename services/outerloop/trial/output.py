"""What is kept of a command's output, which may be endless: its first half and its last."""

from asyncio import StreamReader
from collections import deque

_CHUNK = 256 * 1024


class Kept:
    """Keeps up to `most` bytes of what is added."""

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._in_tail = 0
        self._dropped = 0

    @property
    def cut(self) -> bool:
        """Whether something was left out."""
        return self._dropped > 0

    def add(self, data: bytes) -> None:
        """Takes what came next."""
        room = self._half - len(self._head)
        self._head += data[:room]
        if rest := data[room:]:
            self._tail.append(rest)
            self._in_tail += len(rest)
        while self._in_tail > self._half:
            over = self._in_tail - self._half
            first = self._tail.popleft()
            if len(first) > over:
                self._tail.appendleft(first[over:])
            gone = min(over, len(first))
            self._in_tail -= gone
            self._dropped += gone

    def bytes(self) -> bytes:
        """What was kept, with a line in place of what was not."""
        gap = f"\n... {self._dropped} bytes left out ...\n".encode() if self._dropped else b""
        return bytes(self._head) + gap + b"".join(self._tail)


async def drain(stream: StreamReader, kept: Kept) -> None:
    """Reads to the end: a writer that is not read would only stand still."""
    while data := await stream.read(_CHUNK):
        kept.add(data)
