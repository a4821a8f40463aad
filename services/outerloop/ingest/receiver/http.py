"""OTLP over HTTP: protobuf and JSON, plain and gzip, answered in kind; errors are a google.rpc.Status."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from outerloop.ingest.receiver.intake import READ_SECONDS, RETRY_AFTER_SECONDS, Intake
from outerloop.ingest.receiver.memory import BusyError
from outerloop.ingest.receiver.signals import SIGNALS, Signal
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.bus import TooLargeError
from outerloop.runtime.errors import OutageError, OuterloopError, PoisonError, UserError

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_ENCODINGS = {"", "identity", "gzip", "deflate"}  # deflate is aiohttp's gift
_COME_AGAIN = {"Retry-After": str(RETRY_AFTER_SECONDS)}


@contextlib.asynccontextmanager
async def http_receiver(intake: Intake, settings: IngestSettings) -> AsyncIterator[None]:
    """Listen while the context lasts."""
    tls = tls_of(settings)
    app = web.Application(client_max_size=intake.most)
    for signal in SIGNALS:
        app.router.add_post(signal.path, _receive(intake, signal))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        if settings.otlp_http_port:
            await _listen(runner, settings, tls)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: IngestSettings, tls: ssl.SSLContext | None) -> None:
    try:
        site = web.TCPSite(runner, settings.otlp_host, settings.otlp_http_port, ssl_context=tls)
        await site.start()
    except OSError as error:
        where = f"{settings.otlp_host}:{settings.otlp_http_port}"
        raise UserError(f"OTLP/HTTP cannot listen on {where} (OUTERLOOP_OTLP_HTTP_PORT): {error}") from error


def tls_of(settings: IngestSettings) -> ssl.SSLContext | None:
    """How connections are encrypted; None: not at all.

    Raises:
        UserError: when certificate and key do not belong together, or are none.
    """
    if not settings.otlp_tls_certificate:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.otlp_tls_client_ca)
        context.load_cert_chain(settings.otlp_tls_certificate, settings.otlp_tls_key)
    except OSError as error:  # ssl.SSLError is one
        names = "OUTERLOOP_OTLP_TLS_CERTIFICATE, _KEY and _CLIENT_CA"
        raise UserError(f"{names} must be PEM files that belong together: {error}") from error
    if settings.otlp_tls_client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _receive(intake: Intake, signal: Signal) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def receive(request: web.Request) -> web.Response:
        try:
            _check(intake, request)
            return _answer(request, 200, await _taken(intake, signal, request))
        except (OuterloopError, web.RequestPayloadError, TimeoutError) as error:
            return _wrong(request, error)

    return receive


class _NotOurTermsError(OuterloopError):
    """A request that is refused for its headers."""

    def __init__(self, status: int, code: int, said: str) -> None:
        super().__init__(said)
        self.says = status, code


def _check(intake: Intake, request: web.Request) -> None:
    if not intake.allows(request.headers.get("Authorization", "")):
        said = "a bearer token is asked for (OUTERLOOP_OTLP_TOKEN)"
        raise _NotOurTermsError(401, code_pb2.UNAUTHENTICATED, said)
    if request.content_type not in (_PROTOBUF, _JSON):
        said = f"Content-Type must be {_PROTOBUF} or {_JSON}, got {request.content_type}"
        raise _NotOurTermsError(415, code_pb2.INVALID_ARGUMENT, said)
    if _encoding(request) not in _ENCODINGS:
        raise _NotOurTermsError(415, code_pb2.INVALID_ARGUMENT, "Content-Encoding must be gzip, or none")


def _encoding(request: web.Request) -> str:
    return request.headers.get("Content-Encoding", "").lower()


async def _taken(intake: Intake, signal: Signal, request: web.Request) -> Message:
    # A compressed body may be anything once it is decompressed, and a chunked one does not say.
    plain = _encoding(request) in ("", "identity")
    length = request.content_length if plain and request.content_length is not None else intake.most
    async with intake.room(length) as room:
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await request.read()  # decompressed; no more than client_max_size
        except web.HTTPRequestEntityTooLarge:
            raise intake.too_large() from None
        except ConnectionError as error:
            raise PoisonError(f"the sender has gone: {error}") from error
        return await intake.take(signal, body, room)


def _wrong(request: web.Request, error: Exception) -> web.Response:
    headers = None
    match error:
        case _NotOurTermsError(says=(status, code)):
            pass
        case TooLargeError():
            status, code = 413, code_pb2.RESOURCE_EXHAUSTED
        case OutageError():
            status = 429 if isinstance(error, BusyError) else 503
            code, headers = code_pb2.UNAVAILABLE, _COME_AGAIN
        case TimeoutError():
            status, code = 408, code_pb2.DEADLINE_EXCEEDED
        case _:
            status, code = 400, code_pb2.INVALID_ARGUMENT
    said = str(error) or f"not all of it came within {READ_SECONDS:g} s"
    return _answer(request, status, Status(code=code, message=said), headers)


def _answer(
    request: web.Request, status: int, said: Message, headers: dict[str, str] | None = None
) -> web.Response:
    if request.content_type == _JSON:
        return web.Response(status=status, text=MessageToJson(said), content_type=_JSON, headers=headers)
    return web.Response(status=status, body=said.SerializeToString(), content_type=_PROTOBUF, headers=headers)
