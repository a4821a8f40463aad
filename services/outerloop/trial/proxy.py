"""All that a trial's agent can reach: the model, the tools and a collector for its trace.

    POST /anthropic/v1/messages   the model; see modelproxy
    POST /tools/call              {"name", "arguments"} -> {"content", "is_error"}
    POST /tools/mcp               the same tools by the Model Context Protocol; see mcpstub
    POST /otlp/v1/traces          kept for grading; /otlp/v1/logs and /otlp/v1/metrics are taken and dropped

One Proxy serves one trial, on the listening socket of the loopback port in that trial's sandbox.
"""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, NoReturn

from aiohttp import web

from outerloop.evals.cassette import ToolAnswer
from outerloop.evals.model import ToolDefinition
from outerloop.runtime.errors import PoisonError, TrialNotRunError
from outerloop.trace.model import Span
from outerloop.trace.otlp import decode_traces, spans_of
from outerloop.trial.mcpstub import McpStub
from outerloop.trial.modelproxy import ModelProxy
from outerloop.trial.spec import MIB
from outerloop.trial.toolstub import ToolStub

MOST_BODY = 32 * MIB  # of any one request, decompressed
MOST_AT_ONCE = 16  # requests that are worked on; more wait
MOST_BYTES = 20 * MIB  # of all trace exports of a trial together, and of all tool calls
MOST_SPANS = 20_000
MOST_CALLS = 10_000


@dataclass(kw_only=True)
class Proxy:
    """The trial's surroundings, and what was seen of the trial in them.

    `broken` has a sentence for each failure of the surroundings themselves, `excesses` one for each thing
    of which the agent sent more than a trial may have. `shown` are the tools that are listed by MCP.
    """

    model: ModelProxy
    tools: ToolStub
    shown: tuple[ToolDefinition, ...] = ()
    spans: list[Span] = field(default_factory=list[Span])
    excesses: list[str] = field(default_factory=list[str])
    broken: list[str] = field(default_factory=list[str])
    _taken: Counter[str] = field(default_factory=Counter[str])
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    @asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serves on the given listening socket."""
        application = web.Application(client_max_size=MOST_BODY, middlewares=[self._notice])
        application.router.add_route("*", "/anthropic/{path:.*}", self.model.handle)
        application.router.add_post("/tools/call", self._tool)
        mcp = McpStub(self._answer, self.shown)
        application.router.add_route("*", "/tools/mcp", partial(self._mcp, mcp))
        application.router.add_post("/otlp/v1/traces", self._traces)
        application.router.add_post("/otlp/v1/{signal:logs|metrics}", self._drop)
        # Cancelled handlers: when the agent is gone, nobody waits for its model call.
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.SockSite(runner, listener.dup()).start()
            yield
        finally:
            await runner.cleanup()
            await mcp.close()

    @web.middleware
    async def _notice(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Remembers what goes wrong on our side, which is never the agent's failure."""
        try:
            async with self._room:
                response: web.StreamResponse = await handler(request)
        except web.HTTPException:
            raise
        except TrialNotRunError as error:
            self.broken.append(str(error))
            raise web.HTTPBadGateway(text=str(error)) from error
        except ConnectionError:
            raise  # the agent went away in the middle
        except Exception as error:
            self.broken.append(f"the proxy failed on {request.path}: {type(error).__name__}: {error}")
            raise
        return response

    async def _tool(self, request: web.Request) -> web.Response:
        try:
            call = json.loads(await self._take(request, "tool calls"))
            name, arguments = call["name"], call.get("arguments") or {}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise web.HTTPBadRequest(text='a call is a JSON object {"name", "arguments"}') from error
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise web.HTTPBadRequest(text="name must be a string and arguments an object")
        answer = await self._answer(name, arguments)
        return web.json_response({"content": answer.content, "is_error": answer.is_error})

    async def _mcp(self, mcp: McpStub, request: web.Request) -> web.Response:
        return await mcp.handle(request, await self._take(request, "tool calls"))

    async def _answer(self, name: str, arguments: dict[str, Any]) -> ToolAnswer:
        if len(self.tools.reached) >= MOST_CALLS:
            self._exceed(f"more than {MOST_CALLS} tool calls")
        try:
            return await self.tools.answer(name, arguments)
        except TrialNotRunError as error:
            self.broken.append(str(error))  # here, for MCP's server makes an answer of whatever is raised
            raise web.HTTPBadGateway(text=str(error)) from error

    async def _traces(self, request: web.Request) -> web.Response:
        body = await self._take(request, "traces")
        try:
            export = decode_traces(body)
            count = sum(len(scope.spans) for group in export.resource_spans for scope in group.scope_spans)
            if len(self.spans) + count > MOST_SPANS:
                self._exceed(f"more than {MOST_SPANS} spans")
            self.spans.extend(spans_of(export))
        except PoisonError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return _accepted(request)

    async def _take(self, request: web.Request, what: str) -> bytes:
        """The body, decompressed by aiohttp; counted."""
        body = await request.read()
        self._taken[what] += len(body)
        if self._taken[what] > MOST_BYTES:
            self._exceed(f"more than {MOST_BYTES} bytes of {what}")
        return body

    def _exceed(self, what: str) -> NoReturn:
        self.excesses.append(what)
        raise web.HTTPRequestEntityTooLarge(MOST_BYTES, 0, text=f"a run may not send {what}")

    async def _drop(self, request: web.Request) -> web.Response:
        await request.read()
        return _accepted(request)


def _accepted(request: web.Request) -> web.Response:
    """An empty Export...ServiceResponse: everything was taken."""
    if request.content_type == "application/json":
        return web.Response(text="{}", content_type="application/json")
    return web.Response(status=HTTPStatus.OK, content_type="application/x-protobuf")
