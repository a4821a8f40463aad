"""What becomes of a request, whichever way it came: read if there is room for it, put on Kafka, answered.

Memory is bounded: a request is read when there is room for the most that it may be, and holds what it is
until Kafka has all of it, also when its sender has gone or was told to come again.
"""

import asyncio
import hashlib
import hmac
from types import TracebackType
from typing import Self

from google.protobuf.message import Message

from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.pieces import Piece, pieces
from outerloop.ingest.receiver.memory import Memory, Room
from outerloop.ingest.receiver.signals import Signal
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus, TooLargeError
from outerloop.runtime.errors import OutageError
from outerloop.trace.otlp import Refusal

# For a sender that is told to come again; SDKs wait twice as long each time.
RETRY_AFTER_SECONDS = 1
# For a whole request to come in.
READ_SECONDS = 20.0
# SDKs give up on an export after 10 s, and shall have time to come again before.
_KAFKA_SECONDS = 4.0
# What the Collector's exporter sends by default, and brokers take by default, is a little more. A span that
# is larger goes alone.
_PIECE_BYTES = 900_000
_HEADERS = {"content-type": "application/x-protobuf"}
# From here on a body is taken apart on a thread: it takes longer than other connections should wait.
_LARGE_BYTES = 256 * 1024


class Intake:
    """Takes requests in, as a context manager: what is being sent at its end is not waited for."""

    def __init__(self, bus: Bus, settings: IngestSettings, cleaner: Cleaner) -> None:
        self.most = settings.otlp_max_bytes
        self._bus = bus
        self._cleaner = cleaner
        self._tokens = [_digest(token) for token in settings.tokens()]
        self._memory = Memory(max(settings.otlp_pending_bytes, self.most))
        self._sending: set[asyncio.Future[list[Refusal]]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sending in list(self._sending):
            sending.cancel()

    def allows(self, authorization: str) -> bool:
        """Whether this header carries a token of ours; anything does where none is asked for."""
        scheme, _, token = authorization.partition(" ")
        given = _digest(token.strip()) if scheme.lower() == "bearer" else b""
        # All are compared, so that the time it takes tells nothing.
        matches = [hmac.compare_digest(given, known) for known in self._tokens]
        return any(matches) or not matches

    def room(self, most: int) -> Room:
        """Room for a request of at most `most` bytes, to be entered; BusyError when there is none.

        Raises:
            TooLargeError: when there never will be.
        """
        if most > self.most:
            raise self.too_large()
        return Room(self._memory, most)

    def too_large(self) -> TooLargeError:
        """What to say of a request over the limit, which holds after decompression too."""
        return TooLargeError(f"more than the {self.most} bytes that are taken (OUTERLOOP_OTLP_MAX_BYTES)")

    async def take(self, signal: Signal, body: bytes, room: Room) -> Message:
        """Have a request, decompressed, on Kafka; the answer to it.

        Raises:
            PoisonError: when it is no such request.
            OutageError: when Kafka does not take it, or not in time; parts of it may be there.
        """
        room.shrink(len(body))
        if len(body) > _LARGE_BYTES:
            parts, refused = await asyncio.to_thread(self._prepare, signal, body)
        else:
            parts, refused = self._prepare(signal, body)
        sending = asyncio.ensure_future(self._send(signal, parts))
        self._sending.add(sending)
        sending.add_done_callback(self._forget)
        room.until(sending)
        done, _ = await asyncio.wait({sending}, timeout=_KAFKA_SECONDS)
        if not done:
            raise OutageError(f"Kafka has not taken this within {_KAFKA_SECONDS:g} s; please send it again")
        return signal.answer(refused + sending.result())

    def _prepare(self, signal: Signal, body: bytes) -> tuple[list[Piece], list[Refusal]]:
        # Redacted here too, and not only before it is stored: what need not be on Kafka is not.
        request = signal.decode(signal.clean(self._cleaner)(body))
        # What is invalid goes on as well: it is left out, counted and logged where all spans come by.
        refused = signal.invalid(request)
        names = signal.names
        return list(pieces(request, names.groups, names.scopes, names.items, _PIECE_BYTES)), refused

    async def _send(self, signal: Signal, parts: list[Piece]) -> list[Refusal]:
        """Have all pieces on Kafka; for each item that it never takes, a refusal."""
        sent = await asyncio.gather(
            *(self._send_piece(signal.topic, part) for part in parts), return_exceptions=True
        )
        refused: list[Refusal] = []
        for part, outcome in zip(parts, sent, strict=True):
            if isinstance(outcome, TooLargeError):
                metrics.REFUSED.labels("too_large").inc(part.items)
                refused += [Refusal("too_large", str(outcome))] * part.items
            elif outcome is not None:
                raise outcome
        return refused

    async def _send_piece(self, topic: str, part: Piece) -> None:
        await self._bus.send(topic, part.message.SerializeToString(), part.key, _HEADERS)

    def _forget(self, sending: asyncio.Future[list[Refusal]]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled():
            sending.exception()  # read, as the one who asked may have gone


def _digest(token: str) -> bytes:
    # A header may hold any bytes.
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
