"""Messages: between the GenAI conventions' form (requests, spans) and the Messages API's form.

GenAI: {"role", "parts": [{"type": "text" | "tool_call" | "tool_call_response", ...}]}.
Messages API: {"role", "content": str | [blocks]}.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_call",
    "max_tokens": "length",
}


class BadRequest(ValueError):  # noqa: N818 - named as HTTP names it
    """The request line is not a request."""


def request(line: str) -> dict[str, Any]:
    """The request on a line of stdin, checked."""
    try:
        body = json.loads(line)
        texts = [_text(message) for message in body["messages"]]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"not a request: {error!r}") from error
    if not texts or not texts[0] or body["messages"][0].get("role") != "user":
        raise BadRequest("messages must begin with a user message that has text")
    return dict(body)


def to_api(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """GenAI messages of text as messages of the API."""
    return [{"role": message["role"], "content": _text(message)} for message in messages]


def from_api(messages: Sequence[Mapping[str, Any]]) -> str:
    """Messages of the API as the JSON of GenAI messages, for a span."""
    return json.dumps([_genai(message) for message in messages])


def output(blocks: Sequence[Mapping[str, Any]], stop_reason: str) -> str:
    """A model's answer as the JSON of GenAI output messages."""
    message = _genai({"role": "assistant", "content": blocks})
    return json.dumps([{**message, "finish_reason": FINISH_REASONS.get(stop_reason, stop_reason)}])


def _text(message: Mapping[str, Any]) -> str:
    return "\n".join(part["content"] for part in message["parts"] if part["type"] == "text")


def _genai(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [_part(block) for block in blocks]
    from_tool = parts and parts[0]["type"] == "tool_call_response"
    return {"role": "tool" if from_tool else message["role"], "parts": parts}


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_use":
        return {"type": "tool_call", "id": block["id"], "name": block["name"], "arguments": block["input"]}
    if block["type"] == "tool_result":
        return {"type": "tool_call_response", "id": block["tool_use_id"], "response": block["content"]}
    return {"type": "text", "content": block.get("text", "")}
