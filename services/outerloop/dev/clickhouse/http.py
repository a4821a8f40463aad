"""ClickHouse's HTTP interface over an `Engine`: what clickhouse-connect, curl and Grafana say to a server.

A query runs once its body is whole, so a client that goes away while it sends has changed nothing; one that
goes away later does not stop its query, as on a server. Users and passwords are accepted, whatever they are.
"""

import asyncio
import functools
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from aiohttp import web

from outerloop.dev.clickhouse.engine import Answer, Engine, EngineError, Query
from outerloop.dev.clickhouse.incoming import read

_MAX_BODY_BYTES = 1 << 30  # a body stands in memory as a whole; more than this is a mistake on a laptop
_CONCURRENT_QUERIES = 16
# ClickHouse's own table of error code to status, for the codes that a client is likely to meet.
_STATUS = {
    HTTPStatus.BAD_REQUEST: (6, 26, 27, 33, 36, 38, 41, 42, 43, 53, 62, 69, 72, 117, 130, 131, 441, 456, 457),
    HTTPStatus.NOT_FOUND: (16, 46, 47, 50, 56, 60, 81, 115),
    HTTPStatus.REQUEST_TIMEOUT: (159,),
    HTTPStatus.NOT_IMPLEMENTED: (48,),
    HTTPStatus.FORBIDDEN: (164, 497),
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}


def application(engine: Engine) -> web.Application:
    """The web application; at its end it lets running queries end, then closes `engine`."""
    queries = _Queries(engine)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.on_shutdown.append(queries.drain)
    app.on_cleanup.append(queries.close)
    app.router.add_get("/ping", _ok)
    app.router.add_get("/", functools.partial(_query, queries))
    app.router.add_post("/", functools.partial(_query, queries))
    return app


class _Queries:
    """Runs queries on threads, and knows which run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(_CONCURRENT_QUERIES, thread_name_prefix="query")
        self._running: set[asyncio.Future[Answer]] = set()

    async def run(self, query: Query) -> Answer:
        running = asyncio.get_running_loop().run_in_executor(self._threads, self.engine.run, query)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await running

    async def drain(self, _: web.Application) -> None:
        """Waits for what runs. What arrives now never does: aiohttp stops reading before it calls this."""
        if self._running:
            await asyncio.wait(self._running)

    async def close(self, _: web.Application) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self.engine.close()


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n", content_type="text/html")


async def _query(queries: _Queries, request: web.Request) -> web.Response:
    headers = {
        "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid.uuid4()),
        "X-ClickHouse-Server-Display-Name": queries.engine.host,
        "X-ClickHouse-Timezone": queries.engine.timezone,
    }
    try:
        query = await read(request)
        if not query.text and query.readonly:
            return await _ok(request)
        answer = await queries.run(query)
    except EngineError as error:
        status = _STATUS_OF.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        return web.Response(status=status, text=f"{error}\n", headers=headers)
    return web.Response(body=answer.body, headers=headers | _describe(answer))


def _describe(answer: Answer) -> dict[str, str]:
    kind = "application/json" if answer.output_format.startswith("JSON") else "text/plain"
    return {
        "X-ClickHouse-Format": answer.output_format,
        "X-ClickHouse-Summary": json.dumps(answer.summary),
        "Content-Type": f"{kind}; charset=UTF-8",
    }
