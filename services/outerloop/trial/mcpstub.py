"""The tool stub as a server of the Model Context Protocol (streamable HTTP), by the official SDK.

It lists the tools that the eval names and those that its recording knows. Every request is answered by
itself: there is no session. The SDK speaks ASGI; a request of ours is handed to it whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from aiohttp import web

from outerloop.evals.cassette import ToolAnswer
from outerloop.evals.model import RecordedCall, ToolDefinition
from outerloop.runtime.errors import TrialNotRunError

Answer = Callable[[str, dict[str, Any]], Awaitable[ToolAnswer]]
# What belongs to the connection, or to the body as it came before aiohttp decompressed it.
_DROPPED = {"content-length", "content-encoding", "transfer-encoding", "connection"}


class McpStub:
    """Serves `tools`, whose calls `answer` answers; the SDK is not loaded before the first request."""

    def __init__(self, answer: Answer, tools: Sequence[ToolDefinition]) -> None:
        self._answer = answer
        self._tools = tools
        self._manager: Any = None
        self._running: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def handle(self, request: web.Request, body: bytes) -> web.Response:
        """One request, whose body was read already.

        Raises:
            TrialNotRunError: when the SDK is not installed.
        """
        if request.method != "POST":  # no stream from us, and no session to end
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "POST"})
        async with self._starting:
            if self._running is None:
                await self._start()
        return await _through(self._manager.handle_request, request, body)

    async def close(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def _start(self) -> None:
        self._manager = _manager(self._answer, self._tools)
        ready = asyncio.Event()

        async def run() -> None:
            async with self._manager.run():  # to be left by the task that entered it
                ready.set()
                await asyncio.Event().wait()

        self._running = asyncio.create_task(run())
        await ready.wait()


def known_tools(named: Sequence[ToolDefinition], calls: Sequence[RecordedCall]) -> list[ToolDefinition]:
    """The tools that are named, and those that were called: with the arguments that they were called with."""
    found = {tool.name: tool for tool in named}
    arguments: dict[str, dict[str, Any]] = {}
    for call in calls:
        arguments.setdefault(call.tool, {}).update({name: {} for name in call.arguments})
    for name, properties in arguments.items():
        schema = {"type": "object", "properties": properties}
        found.setdefault(name, ToolDefinition(name=name, input_schema=schema))
    return list(found.values())


def _manager(answer: Answer, tools: Sequence[ToolDefinition]) -> Any:
    try:
        # Not at the top: few agents speak it, and a trial of the others should not wait for it.
        from mcp.server.lowlevel import Server  # noqa: PLC0415
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415
        from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool  # noqa: PLC0415
    except ImportError as error:
        raise TrialNotRunError(
            "the agent speaks MCP, and `mcp` is missing: install outerloop[gate]"
        ) from error

    async def list_tools(*_: Any) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(
                    name=tool.name,
                    description=tool.description or None,
                    input_schema={"type": "object", **tool.input_schema},
                )
                for tool in tools
            ]
        )

    async def call_tool(_: Any, params: Any) -> CallToolResult:
        given = await answer(params.name, params.arguments or {})
        return CallToolResult(content=[TextContent(type="text", text=given.content)], is_error=given.is_error)

    server: Any = Server("tools", on_list_tools=list_tools, on_call_tool=call_tool)
    return StreamableHTTPSessionManager(server, json_response=True, stateless=True)


async def _through(app: Any, request: web.Request, body: bytes) -> web.Response:
    """What an ASGI application answers to a request, whole."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query_string.encode(),
        "root_path": "",
        "headers": [
            (key.lower().encode(), value.encode())
            for key, value in request.headers.items()
            if key.lower() not in _DROPPED
        ],
        "client": None,
        "server": None,
    }
    answered: dict[str, Any] = {"status": HTTPStatus.INTERNAL_SERVER_ERROR, "headers": [], "body": b""}
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Mapping[str, Any]:
        if (message := next(given, None)) is not None:
            return message
        return await asyncio.Future()  # whoever waits for the end of the connection is cancelled with it

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.update(status=message["status"], headers=message.get("headers", []))
        else:
            answered["body"] += message.get("body", b"")

    await app(scope, receive, send)
    headers = [(key.decode(), value.decode()) for key, value in answered["headers"]]
    kept = {key: value for key, value in headers if key.lower() not in _DROPPED}
    return web.Response(status=answered["status"], headers=kept, body=answered["body"])
