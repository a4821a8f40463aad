"""From a script's reply to the API's message: checked, limited, and with ids and usage."""

import json
import uuid
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outerloop.dev.messages_api.cache import CacheUse
from outerloop.dev.messages_api.script import Reply
from outerloop.dev.messages_api.shapes import Name, ToolUseId, first_error
from outerloop.dev.messages_api.tokens import CHARS_PER_TOKEN, count_prompt


class ScriptError(Exception):
    """The script replied with something that no model could have said: a bug in the script."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Said):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1)]


class _ToolUse(_Said):
    type: Literal["tool_use"]
    id: ToolUseId | None = None
    name: Name
    input: dict[str, Any]


class _Reply(_Said):
    content: list[Annotated[_Text | _ToolUse, Field(discriminator="type")]]
    stop_reason: Literal["end_turn", "tool_use", "max_tokens", "pause_turn", "refusal"] | None = None


def compose(request: dict[str, Any], reply: Reply, cached: CacheUse) -> dict[str, Any]:
    """The body of the answer to `request`, which the cache had that part in. Raises ScriptError."""
    content, stop_reason = _checked(request, reply)
    content, sequence = _until_stop(content, request.get("stop_sequences", []))
    content, output_tokens, cut = _within(content, request["max_tokens"])
    if cut:
        stop_reason, sequence = "max_tokens", None
    elif sequence is not None:
        stop_reason = "stop_sequence"
    written = cached.written + cached.written_1h
    return {
        "id": f"msg_01{uuid.uuid4().hex[:22]}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": sequence,
        "stop_details": None,
        "usage": {
            "input_tokens": max(0, count_prompt(request) - cached.read - written),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": cached.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cached.written,
                "ephemeral_1h_input_tokens": cached.written_1h,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _checked(request: dict[str, Any], reply: Reply) -> tuple[list[dict[str, Any]], str]:
    try:
        said = _Reply.model_validate(reply)
    except ValidationError as error:
        raise ScriptError(f"the reply is malformed: {first_error(error)}") from error
    calls = [block for block in said.content if isinstance(block, _ToolUse)]
    _check_calls(request, calls)
    stop_reason = said.stop_reason or ("tool_use" if calls else "end_turn")
    if (stop_reason == "tool_use") != bool(calls) and stop_reason in {"tool_use", "end_turn"}:
        raise ScriptError(f"stop_reason {stop_reason} with {len(calls)} tool_use blocks")
    for call in calls:
        # Random, not drawn: a server restarted in mid-conversation must not give an id twice.
        call.id = call.id or f"toolu_01{uuid.uuid4().hex[:22]}"
    return [block.model_dump() for block in said.content], stop_reason


def _check_calls(request: dict[str, Any], calls: list[_ToolUse]) -> None:
    """What the API itself guarantees of a model's calls: offered tools only, and tool_choice kept."""
    offered = {tool["name"] for tool in request.get("tools", [])}
    if unknown := [call.name for call in calls if call.name not in offered]:
        raise ScriptError(f"tool_use of {unknown}, but the request offers {sorted(offered)}")
    identifiers = [call.id for call in calls if call.id]
    if len(set(identifiers)) < len(identifiers):
        raise ScriptError("two tool_use blocks have one id")
    choice = request.get("tool_choice") or {"type": "auto"}
    allowed = {"auto": offered, "any": offered, "tool": {choice.get("name")}, "none": ()}[choice["type"]]
    if any(call.name not in allowed for call in calls):
        raise ScriptError(f"tool_use against tool_choice {choice}")
    if choice["type"] in {"any", "tool"} and not calls:
        raise ScriptError(f"no tool_use, but tool_choice is {choice}")
    if choice.get("disable_parallel_tool_use") and len(calls) > 1:
        raise ScriptError("several tool_use blocks, but disable_parallel_tool_use is set")


def _until_stop(
    content: list[dict[str, Any]], sequences: list[str]
) -> tuple[list[dict[str, Any]], str | None]:
    """The content before the first stop sequence in its text, and that sequence."""
    for index, block in enumerate(content):
        text = block.get("text", "")
        places = [(text.index(sequence), sequence) for sequence in sequences if sequence in text]
        if places:
            place, sequence = min(places)
            rest = [{**block, "text": text[:place]}] if place else []
            return content[:index] + rest, sequence
    return content, None


def _within(content: list[dict[str, Any]], max_tokens: int) -> tuple[list[dict[str, Any]], int, bool]:
    """As much of the content as `max_tokens` allows, its tokens, and whether anything was cut.

    Text is cut anywhere; a tool use that does not fit loses its whole input, as an incomplete one does.
    """
    left = max_tokens * CHARS_PER_TOKEN
    for index, block in enumerate(content):
        said = block["text"] if block["type"] == "text" else block["name"] + json.dumps(block["input"])
        if len(said) > left:
            part = {**block, "text": said[:left]} if block["type"] == "text" else {**block, "input": {}}
            return content[:index] + ([part] if left else []), max_tokens, True
        left -= len(said)
    used = max_tokens * CHARS_PER_TOKEN - left
    return content, max(1, ceil(used / CHARS_PER_TOKEN)), False
