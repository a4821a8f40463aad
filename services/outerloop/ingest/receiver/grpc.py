"""OTLP over gRPC, by grpcio; the methods are those of the official service descriptors.

A handler takes the message as a stream of one, which is the same on the wire: so it may refuse a request,
or wait for room, before the message is read. It gets bytes, because OTLP wants INVALID_ARGUMENT for bad data
where gRPC itself says INTERNAL, and because gRPC decompresses without a limit.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from outerloop.ingest.receiver.intake import READ_SECONDS, RETRY_AFTER_SECONDS, Intake
from outerloop.ingest.receiver.signals import SIGNALS, Signal
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.bus import TooLargeError
from outerloop.runtime.errors import OutageError, OuterloopError, PoisonError, UserError

_STOP_SECONDS = 2.0
_GZIP, _DEFLATE = b"\x1f\x8b", b"\x78"  # neither begins an OTLP request
_ANY_HEADER = 32 + zlib.MAX_WBITS  # zlib's and gzip's
Context: TypeAlias = Any  # grpcio ships no types


@contextlib.asynccontextmanager
async def grpc_receiver(intake: Intake, settings: IngestSettings) -> AsyncIterator[None]:
    """Listen while the context lasts."""
    if not settings.otlp_grpc_port:
        yield
        return
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", intake.most),
            ("grpc.per_message_decompression", 0),  # see the module
            ("grpc.http2.bdp_probe", 0),  # a message that waits to be read has 64 kB here, and not megabytes
            ("grpc.so_reuseport", 0),  # a port that is taken is an error
        ]
    )
    for signal in SIGNALS:
        handler = grpc.stream_unary_rpc_method_handler(_export(intake, signal))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(signal.service, {"Export": handler}),)
        )
    _listen(server, settings)
    await server.start()
    try:
        yield
    finally:
        await server.stop(_STOP_SECONDS)


def _listen(server: grpc.aio.Server, settings: IngestSettings) -> None:
    host = f"[{settings.otlp_host}]" if ":" in settings.otlp_host else settings.otlp_host
    address = f"{host}:{settings.otlp_grpc_port}"
    try:
        if settings.otlp_tls_certificate and settings.otlp_tls_key:
            pair = (settings.otlp_tls_key.read_bytes(), settings.otlp_tls_certificate.read_bytes())
            ca = settings.otlp_tls_client_ca
            credentials = grpc.ssl_server_credentials(
                [pair], root_certificates=ca.read_bytes() if ca else None, require_client_auth=bool(ca)
            )
            server.add_secure_port(address, credentials)
        else:
            server.add_insecure_port(address)
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"OTLP/gRPC cannot listen on {address} (OUTERLOOP_OTLP_GRPC_PORT): {error}"
        ) from error


def _export(intake: Intake, signal: Signal) -> Callable[[AsyncIterator[bytes], Context], Awaitable[bytes]]:
    async def export(messages: AsyncIterator[bytes], context: Context) -> bytes:
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        if not intake.allows(given if isinstance(given, str) else ""):
            said = "a bearer token is asked for (OUTERLOOP_OTLP_TOKEN)"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, said)
        try:
            answer = await _taken(intake, signal, messages)
        except (OuterloopError, TimeoutError) as error:
            code, details = _wrong(error)
            said = str(error) or f"not all of it came within {READ_SECONDS:g} s"
            await context.abort(code, said, details)
            raise  # abort has: only the type checker comes here
        return answer.SerializeToString()

    return export


async def _taken(intake: Intake, signal: Signal, messages: AsyncIterator[bytes]) -> Message:
    async with intake.room(intake.most) as room:
        async with asyncio.timeout(READ_SECONDS):
            message = await anext(messages, b"")
        return await intake.take(signal, _plain(message, intake), room)


def _plain(message: bytes, intake: Intake) -> bytes:
    """The message decompressed, where it is compressed."""
    if not message.startswith((_GZIP, _DEFLATE)):
        return message
    unpacking = zlib.decompressobj(_ANY_HEADER)
    try:
        plain = unpacking.decompress(message, intake.most + 1)
    except zlib.error as error:
        raise PoisonError(f"not what its compression says: {error}") from error
    if len(plain) > intake.most:
        raise intake.too_large()
    if not unpacking.eof:
        raise PoisonError("the compressed message ends too soon")
    if unpacking.unused_data:
        raise PoisonError(f"{len(unpacking.unused_data)} bytes follow the compressed message")
    return plain


def _wrong(error: Exception) -> tuple[grpc.StatusCode, tuple[tuple[str, bytes], ...]]:
    """The status of an error, and the details that go with it."""
    if isinstance(error, TooLargeError):
        return grpc.StatusCode.RESOURCE_EXHAUSTED, ()  # without RetryInfo: it is not sent again
    if isinstance(error, TimeoutError):
        return grpc.StatusCode.DEADLINE_EXCEEDED, ()
    if not isinstance(error, OutageError):
        return grpc.StatusCode.INVALID_ARGUMENT, ()
    retry = RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_SECONDS))
    code = grpc.StatusCode.UNAVAILABLE
    status = Status(code=code.value[0], message=str(error), details=[AnyMessage()])
    status.details[0].Pack(retry)
    return code, (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", retry.SerializeToString()),  # where the Python SDK looks
    )
