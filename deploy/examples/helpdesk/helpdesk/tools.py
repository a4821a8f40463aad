"""Tools: from a call (name, arguments) to its result, over the local database or over HTTP.

A tool's error is a result with `is_error`, for the model to read. Tools that cannot be reached at all raise
ToolsUnavailable: that is nobody's answer.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from helpdesk.orders import OrderError, Orders

ARGUMENTS: Mapping[str, Mapping[str, type]] = {
    "get_order": {"order_id": str},
    "track_shipment": {"tracking_number": str},
    "refund_order": {"order_id": str, "amount_cents": int, "reason": str},
    "cancel_order": {"order_id": str},
    "update_address": {"order_id": str, "address": str},
}
OPTIONAL: Mapping[str, Mapping[str, type]] = {"track_shipment": {"source": str}}
HTTP_TIMEOUT_SECONDS = 30


class ToolsUnavailable(Exception):  # noqa: N818 - a state of the world, not an error of the agent
    """The tools could not be reached."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered; `content` is JSON, or a sentence when `is_error`."""

    content: str
    is_error: bool = False


class Tools(Protocol):
    """Whatever executes tool calls."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Executes one call."""
        ...


@dataclass(frozen=True)
class LocalTools:
    """The handlers themselves, over one database."""

    orders: Orders

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Checks the arguments, then does it."""
        try:
            _check(name, arguments)
            return ToolResult(json.dumps(getattr(self.orders, name)(**arguments)))
        except OrderError as error:
            return ToolResult(str(error), is_error=True)


@dataclass(frozen=True)
class RemoteTools:
    """The tools behind `POST url/call`: a trial's stub, which answers from a recording."""

    url: str

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Asks the stub."""
        body = json.dumps({"name": name, "arguments": arguments}).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's, from the environment
            f"{self.url.rstrip('/')}/call", body, {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_SECONDS) as response:  # noqa: S310 - same
                answer = json.load(response)
            return ToolResult(str(answer["content"]), bool(answer.get("is_error")))
        except (OSError, ValueError, KeyError) as error:
            raise ToolsUnavailable(f"{name}: {error}") from error


def _check(name: str, arguments: Mapping[str, Any]) -> None:
    expected = ARGUMENTS.get(name)
    if expected is None:
        raise OrderError(f"there is no tool {name}")
    optional = OPTIONAL.get(name, {})
    for argument, kind in {**expected, **optional}.items():
        if not isinstance(arguments.get(argument), kind) and (argument in expected or argument in arguments):
            raise OrderError(f"argument {argument} must be given, as {kind.__name__}")
    unknown = sorted(set(arguments) - set(expected) - set(optional))
    if unknown:
        raise OrderError(f"unknown argument {unknown[0]}")
