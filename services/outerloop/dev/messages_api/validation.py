"""From the bytes of a request to a request that the model may see, or the error that the API would give."""

import copy
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from outerloop.dev.messages_api import conversation, parameters
from outerloop.dev.messages_api.catalogue import CONTEXT_WINDOW, Model
from outerloop.dev.messages_api.errors import ApiError, invalid
from outerloop.dev.messages_api.shapes import (
    CountRequest,
    MessagesRequest,
    SampledMessagesRequest,
    first_error,
)
from outerloop.dev.messages_api.tokens import count_prompt

# What POST /v1/messages takes, by anthropic-version. Version 2023-01-01 streamed in another format.
MESSAGES_SHAPES: Mapping[str, type[MessagesRequest]] = {
    "2023-06-01": SampledMessagesRequest,
    "2026-10-21": MessagesRequest,
}


def check_headers(headers: Mapping[str, str]) -> None:
    """A key, whatever it says, and a version of the API. Raises ApiError."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not headers.get("x-api-key") and not bearer:
        raise ApiError(401, "x-api-key header is required")
    version = headers.get("anthropic-version")
    if not version:
        raise invalid("anthropic-version: header is required")
    if version not in MESSAGES_SHAPES:
        raise invalid(f'anthropic-version: "{version}" is not a valid version')


def parse(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object in a body. As strict as the API's parser: no NaN, no half of a surrogate pair."""
    if content_type != "application/json":
        raise invalid("content-type: must be application/json")
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid("Input should be a valid dictionary")
    return value


def accept(raw: dict[str, Any], shape: type[CountRequest], models: Mapping[str, Model]) -> dict[str, Any]:
    """The request as the model sees it: valid, and with consecutive messages of one role combined.

    `raw` is left alone. Raises ApiError.
    """
    request = _shaped(raw, shape)
    model = models.get(request.model)
    if model is None:
        raise ApiError(404, f"model: {request.model}")
    if isinstance(request, MessagesRequest):
        parameters.check_limits(request, model)
    conversation.check_content(request, model)
    parameters.check_thinking(request, model)
    parameters.check_tools(request)
    parameters.check_cache(request)
    combined = {**raw, "messages": combine(raw["messages"])}
    conversation.check_turns(_shaped(combined, shape))
    tokens = count_prompt(combined)
    if tokens > CONTEXT_WINDOW:
        raise invalid(f"prompt is too long: {tokens} tokens > {CONTEXT_WINDOW} maximum")
    return combined


def combine(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copies of `messages`, no two in a row of one role; a message that stands alone is unchanged."""
    turns = []
    for role, group in groupby(copy.deepcopy(messages), key=itemgetter("role")):
        first, *rest = group
        if rest:
            blocks = [block for message in (first, *rest) for block in _blocks(message["content"])]
            first = {"role": role, "content": blocks}
        turns.append(first)
    return turns


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _shaped(raw: dict[str, Any], shape: type[CountRequest]) -> CountRequest:
    messages = raw.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "system":
            raise invalid(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` '
                'parameter, not "system" as an input message role.'
            )
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        raise invalid(first_error(error)) from error
