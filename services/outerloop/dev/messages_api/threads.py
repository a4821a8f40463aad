"""Message threads: a conversation that the server keeps for a while: a request then brings only what is new.

As the real API's beta `message-threads-2026-08-12`: a request with `thread: {"type": "create"}` has its
conversation kept under the answer's id; one with `{"type": "continue", "previous_message_id": …}` brings what
came since, and neither system nor tools. Each answer is continued once; a thread that nobody continued for
five minutes is gone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from outerloop.dev.messages_api.errors import ApiError, invalid
from outerloop.dev.messages_api.shapes import Shape, first_error

BETA = "message-threads-2026-08-12"
SECONDS = 300.0
_KEPT = ("system", "tools")


class _Create(Shape):
    type: Literal["create"]


class _Continue(Shape):
    type: Literal["continue"]
    previous_message_id: str


@dataclass(slots=True)
class _Kept:
    """A conversation as it was sent, with its answer; `owner` pays. `continued`: it was, with an answer."""

    owner: str
    request: dict[str, Any]
    until: float
    continued: bool = False


class Threads:
    """The threads of one server; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def whole(self, raw: dict[str, Any], headers: Mapping[str, str], owner: str) -> dict[str, Any]:
        """The request with all of its conversation, without its `thread`. Raises ApiError."""
        thread = raw.get("thread")
        if thread is None:
            return {key: value for key, value in raw.items() if key != "thread"} if _asked(headers) else raw
        if not _asked(headers):
            raise invalid("thread: Extra inputs are not permitted")
        request = {key: value for key, value in raw.items() if key != "thread"}
        said = _shaped(thread)
        if isinstance(said, _Create):
            return request
        if repeated := [field for field in _KEPT if field in request]:
            raise invalid(f"{repeated[0]}: the thread keeps it; it may not be sent with `continue`")
        return self._continued(said.previous_message_id, request, owner)

    def forget(self) -> None:
        """As if all of them had been idle for too long."""
        self._kept.clear()

    def _continued(self, previous: str, request: dict[str, Any], owner: str) -> dict[str, Any]:
        now = self._clock()
        self._kept = {name: kept for name, kept in self._kept.items() if kept.until > now}
        kept = self._kept.get(previous)
        if kept is None or kept.owner != owner:
            raise _refused(404, "thread_not_found", f"no thread is kept for {previous}")
        if kept.continued:
            raise _refused(400, "thread_already_continued", f"{previous} has been continued already")
        before = {field: kept.request[field] for field in _KEPT if field in kept.request}
        new = request.get("messages")
        messages = [*kept.request["messages"], *(new if isinstance(new, list) else [])]
        return {**before, **request, "messages": messages}

    def keep(self, thread: Any, request: dict[str, Any], message: dict[str, Any], owner: str) -> None:
        """Remember an answered request whose `thread` field was that, with its answer."""
        if not isinstance(thread, dict):
            return
        if (previous := self._kept.get(str(thread.get("previous_message_id")))) is not None:
            previous.continued = True
        said = {"role": "assistant", "content": message["content"]}
        whole = {**request, "messages": [*_unmarked(request["messages"]), said]}
        self._kept[message["id"]] = _Kept(owner, whole, self._clock() + SECONDS)


def _unmarked(value: Any) -> Any:
    """Without breakpoints of the cache: the messages that follow have their own."""
    if isinstance(value, dict):
        return {key: _unmarked(inner) for key, inner in value.items() if key != "cache_control"}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value


def _asked(headers: Mapping[str, str]) -> bool:
    return BETA in [name.strip() for name in headers.get("anthropic-beta", "").split(",")]


def _shaped(thread: Any) -> _Create | _Continue:
    kind = thread.get("type") if isinstance(thread, dict) else None
    try:
        return (_Continue if kind == "continue" else _Create).model_validate(thread)
    except ValidationError as error:
        raise invalid(f"thread.{first_error(error)}") from error


def _refused(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, message, details={"error_code": code})
