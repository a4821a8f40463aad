"""For agents: routes tools to a trial's recording with one line, and otherwise leaves them alone.

    from outerloop.tools import route

    @route
    def get_order(order_id: str) -> dict: ...

In production, where OUTERLOOP_TOOLS_URL is not set, `get_order` is called as ever. In a trial the call goes
to `POST $OUTERLOOP_TOOLS_URL/call`. A function that is given a tool's name and its arguments takes
`route_calls`. An agent whose tools are MCP servers asks `$OUTERLOOP_TOOLS_URL/mcp` instead of them.

Python's standard library only: this file can also be copied into an agent.
"""

import asyncio
import functools
import inspect
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast, overload

P = ParamSpec("P")
R = TypeVar("R")

VARIABLE = "OUTERLOOP_TOOLS_URL"
SECONDS = 60.0


class ToolError(Exception):
    """The tool's own error, as it was recorded: for the model to read."""


class ToolsUnavailableError(OSError):
    """The tools could not be reached, or did not answer by their contract: nobody's answer."""


@overload
def route(tool: Callable[P, R], *, name: str = "") -> Callable[P, R]: ...
@overload
def route(tool: None = None, *, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def route(tool: Callable[..., Any] | None = None, *, name: str = "") -> Any:
    """Decorates a tool, also an async one; `name` is the tool's as the model knows it, if not the function's.

    Its arguments go by their names. What comes back is the recorded result: a JSON value where it is JSON,
    else the text. Raises what the tool raises; in a trial ToolError in its place, or ToolsUnavailableError.
    """
    if tool is None:
        return functools.partial(route, name=name)
    called = name or tool.__name__
    signature = inspect.signature(tool)
    if any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        raise TypeError(f"{called}: a tool's arguments have names, so it cannot take *args")
    return _routed(tool, lambda args, kwargs: (called, _arguments(signature, args, kwargs)))


def route_calls(dispatch: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function (name, arguments) that calls the tool of that name, also an async one."""

    def call_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Mapping[str, Any]]:
        given = list(inspect.signature(dispatch).bind(*args, **kwargs).arguments.items())
        name, arguments = [value for key, value in given if key not in {"self", "cls"}][:2]
        return name, arguments

    return _routed(dispatch, call_of)


def call(name: str, arguments: Mapping[str, Any], *, url: str = "") -> Any:
    """Asks the trial's tools at `url` (by default $OUTERLOOP_TOOLS_URL).

    Raises:
        ToolError: with what the tool said.
        ToolsUnavailableError: when there is no answer.
    """
    base = url or os.environ.get(VARIABLE, "")
    if not base.startswith(("http://", "https://")):
        raise ToolsUnavailableError(f"{VARIABLE} is {base!r}: it must be an http address")
    body = json.dumps({"name": name, "arguments": dict(arguments)}).encode()
    request = urllib.request.Request(  # noqa: S310 - an http address, as was just seen
        f"{base.rstrip('/')}/call", body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - as above
            answer = json.load(response)
        content, failed = answer["content"], bool(answer.get("is_error"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolsUnavailableError(f"{name} cannot be asked at {base}: {error}") from error
    if failed:
        raise ToolError(str(content))
    return _value(content)


def _routed(tool: Callable[P, R], call_of: Callable[..., tuple[str, Mapping[str, Any]]]) -> Callable[P, R]:
    if inspect.iscoroutinefunction(tool):

        @functools.wraps(tool)
        async def asking(*args: P.args, **kwargs: P.kwargs) -> Any:
            if not os.environ.get(VARIABLE):
                return await tool(*args, **kwargs)
            return await asyncio.to_thread(call, *call_of(args, kwargs))

        return cast("Callable[P, R]", asking)

    @functools.wraps(tool)
    def ask(*args: P.args, **kwargs: P.kwargs) -> Any:
        return call(*call_of(args, kwargs)) if os.environ.get(VARIABLE) else tool(*args, **kwargs)

    return cast("Callable[P, R]", ask)


def _arguments(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What was given, by name; without what is not the model's: `self`, and defaults that nobody gave."""
    arguments: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(value)
        elif name not in {"self", "cls"}:
            arguments[name] = value
    return arguments


def _value(content: Any) -> Any:
    if not isinstance(content, str):
        return content
    try:
        return json.loads(content)
    except ValueError:
        return content
