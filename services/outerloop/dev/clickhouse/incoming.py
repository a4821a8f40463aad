"""Reads an HTTP request into a `Query`: where ClickHouse's interface lets SQL, data and settings stand."""

import asyncio
from collections.abc import Callable

import cramjam
from aiohttp import web

from outerloop.dev.clickhouse.engine import NOT_IMPLEMENTED, EngineError, Query

_INFLATE_FAILED = 354
_DECODERS: dict[str, Callable[[bytes, int | None], cramjam.Buffer]] = {
    "lz4": cramjam.lz4.decompress,
    "zstd": cramjam.zstd.decompress,
    "gzip": cramjam.gzip.decompress,
    "deflate": cramjam.zlib.decompress,
    "br": cramjam.brotli.decompress,
}
# These belong to the transport, not to the query. Answers are sent when they are whole, and never compressed.
_TRANSPORT = frozenset(
    ["query", "query_id", "database", "default_format", "user", "password", "quota_key", "role", "stacktrace"]
) | {"session_id", "session_timeout", "session_check", "close_session", "buffer_size", "wait_end_of_query"}


async def read(request: web.Request) -> Query:
    """The query that a request carries: the `query` parameter and then the body, or only one of them.

    Raises:
        EngineError: the request wants what this server does not have, or its compression is broken.
    """
    body, fields = await _body(request)
    values = {**request.query, **fields}
    for unsupported in ("compress", "decompress"):
        if values.pop(unsupported, "0") not in ("0", "false"):
            raise _not_here(f"{unsupported}=1")
    sql = values.get("query", "").encode()
    settings = {n: v for n, v in values.items() if n not in _TRANSPORT and not n.startswith("param_")}
    protocol = settings.pop("client_protocol_version", "")
    return Query(
        text=sql or bytes(body),
        data=body if sql else b"",
        database=values.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        settings=settings,
        parameters={n[len("param_") :]: v for n, v in values.items() if n.startswith("param_")},
        default_format=(
            values.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
        ),
        readonly=request.method == "GET",
        protocol=int(protocol) if protocol.isascii() and protocol.isdecimal() else 0,
    )


async def _body(request: web.Request) -> tuple[bytes | memoryview, dict[str, str]]:
    """The body decompressed, or the fields of a form, which carry a long query and its parameters."""
    # A url-encoded form is not one: it is what curl calls the plain SQL behind -d.
    if request.content_type == "multipart/form-data":
        form = await request.post()
        if any(not isinstance(value, str) for value in form.values()):
            raise _not_here("external data")
        return b"", {name: str(value) for name, value in form.items()}
    body = await _whole(request)
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding == "identity":
        return body, {}
    if encoding not in _DECODERS:
        raise _not_here(f"Content-Encoding {encoding}")
    try:
        return await asyncio.to_thread(lambda: memoryview(_DECODERS[encoding](body, None))), {}
    except cramjam.DecompressionError as error:
        message = f"Code: {_INFLATE_FAILED}. DB::Exception: {encoding}: {error}. (INFLATE_FAILED)"
        raise EngineError(message, _INFLATE_FAILED) from error


async def _whole(request: web.Request) -> bytes:
    """All of the body. aiohttp's own `read` copies it three times, and an insert has tens of megabytes."""
    parts, size = list[bytes](), 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size, size)
        parts.append(part)
    return b"".join(parts)


def _not_here(what: str) -> EngineError:
    message = f"Code: {NOT_IMPLEMENTED}. DB::Exception: {what} is for a ClickHouse server. (NOT_IMPLEMENTED)"
    return EngineError(message, NOT_IMPLEMENTED)
