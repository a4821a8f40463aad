"""One call of the model, and what its failures mean to us."""

import json
from typing import Any

import anthropic
import httpx2  # the anthropic SDK's own: it tells whether a connection ever stood
from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.prices import Usage
from outerloop.runtime.refusals import about_the_account

_FAILED_DEPENDENCY = 424  # how Bedrock says that the model itself failed
# Connection, 429, 5xx and 529, after the SDK's own retries, which keep to retry-after. A key that is refused
# or not paid for is no fault of the message either: it waits until somebody has seen to it.
_AWAY = (
    anthropic.APIConnectionError,
    anthropic.RateLimitError,
    anthropic.InternalServerError,  # OverloadedError is one
    anthropic.RequestTimeoutError,
    anthropic.ConflictError,
    anthropic.AuthenticationError,
    anthropic.PermissionDeniedError,
    anthropic.PaymentRequiredError,
)

# What reading an answer ends in that is none: a gateway's page, half a body, JSON without end or bottom.
_GARBLED = (json.JSONDecodeError, UnicodeDecodeError, RecursionError, anthropic.APIResponseValidationError)
_NO_ANSWER = "what came is no answer of the model provider"
_DEEPEST = 100  # levels of JSON that we take in a call of a tool
_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OPTIONAL = frozenset(_COUNTS[2:])


# Of what the SDK calls a connection error: those in which the request was never sent.
_UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class UnsentError(OutageError):
    """No call could be made, as without credentials."""


# The same requests, to Anthropic's own API or to a cloud's.
Client = AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicVertex


async def ask(
    client: Client, request: MessageCreateParamsNonStreaming, where: str, *, setting: str, version: str = ""
) -> Message:
    """The model's message; `setting` is the variable that named the model.

    `version` of the API is what a cloud takes in a request's body, in place of the SDK's own.

    Raises:
        OutageError: the provider is away, or will not serve us now, or what came is no answer of its.
        UserError: the provider does not know the model.
        anthropic.APIStatusError: a bug of ours, such as a malformed request; `where` is in its notes.
    """
    body = {"anthropic_version": version} if version else None
    try:
        answer = await client.messages.create(**request, extra_body=body)
    except _GARBLED as error:
        raise OutageError(f"{_NO_ANSWER} ({where}): {error!r:.300}") from error
    except _AWAY as error:
        raise OutageError(f"the model provider is away ({where}): {error}") from error
    except anthropic.NotFoundError as error:
        raise UserError(f"{setting}: the provider does not know {request['model']!r}") from error
    except anthropic.APIStatusError as error:
        if error.status_code == _FAILED_DEPENDENCY or about_the_account(error.response.text):
            raise OutageError(f"the model provider is away ({where}): {error}") from error
        if "model identifier is invalid" in error.message:  # Bedrock's 400
            raise UserError(f"{setting}: the provider does not know {request['model']!r}") from error
        error.add_note(where)
        raise
    if wrong := _wrong_with(answer):
        raise OutageError(f"{_NO_ANSWER} ({where}): {wrong}")
    return answer


def unpaid(error: BaseException) -> bool:
    """Whether nothing is to be paid for a call of `ask` that raised this: it was refused, or never sent.

    Of an answer that only did not come, nobody knows.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (anthropic.APIStatusError, UnsentError, *_UNSENT)):
            return True
        cause = cause.__cause__
    return False


def _wrong_with(answer: object) -> str:
    """Why this is no message of the API, "" if it is one: the SDK checks nothing of it."""
    content: object = getattr(answer, "content", None)
    usage: object = getattr(answer, "usage", None)
    if not isinstance(content, list) or usage is None:
        return "it has no content or no usage"
    for name in _COUNTS:
        count: object = getattr(usage, name, None)
        known = isinstance(count, int) and count >= 0
        if not known and not (count is None and name in _OPTIONAL):
            return f"its {name} are {count!r:.50}"
    calls = [block for block in content if getattr(block, "type", None) == "tool_use"]
    if any(not isinstance(getattr(block, "type", None), str) for block in content):
        return "a block of it has no type"
    if any(block.type == "text" and not isinstance(getattr(block, "text", None), str) for block in content):
        return "a text of it is none"
    return _wrong_with_calls(calls)


def _wrong_with_calls(calls: list[Any]) -> str:
    names = [value for call in calls for value in (getattr(call, "id", None), getattr(call, "name", None))]
    if any(not isinstance(value, str) or not value for value in names):
        return "a call of a tool has no id or no name"
    if len({call.id for call in calls}) < len(calls):
        return "two calls of tools have one id"
    if any(not isinstance(getattr(call, "input", None), dict) for call in calls):
        return "a call of a tool has no object for its input"
    return "a call of a tool is nested too deep" if any(_too_deep(call.input) for call in calls) else ""


def _too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
        if not level:
            return False
    return True


def usage_of(said: anthropic.types.Usage) -> Usage:
    """Tokens as the Messages API counts them."""
    written, read = said.cache_creation_input_tokens or 0, said.cache_read_input_tokens or 0
    return Usage(said.input_tokens, said.output_tokens, written, read)
