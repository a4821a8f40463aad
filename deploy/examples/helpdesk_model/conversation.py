"""Conversation: a Messages API request as its two readers here need it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call that was made, with what came back."""

    name: str
    arguments: Mapping[str, Any]
    result: str
    is_error: bool

    def json(self) -> dict[str, Any]:
        """The result as an object, {} when it is none."""
        try:
            value = json.loads(self.result)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Conversation:
    """`tools` are the offered tools by name, as sent; `said` the user's texts; `calls` all answered calls.

    `recent` are the calls made since the user last spoke (a text beside tool results is not speaking).
    """

    system: str
    tools: Mapping[str, Mapping[str, Any]]
    said: tuple[str, ...]
    calls: tuple[Call, ...]
    recent: tuple[Call, ...]

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> "Conversation":
        """The conversation in the body of POST /v1/messages."""
        made: dict[str, Mapping[str, Any]] = {}
        said: list[str] = []
        calls: list[Call] = []
        spoke_at = 0
        for message in request["messages"]:
            blocks = _blocks(message["content"])
            made |= {block["id"]: block for block in blocks if block["type"] == "tool_use"}
            results = [block for block in blocks if block["type"] == "tool_result"]
            calls += [_call(made[block["tool_use_id"]], block) for block in results]
            if message["role"] == "user" and not results:
                said.append(_text(blocks))
                spoke_at = len(calls)
        return cls(
            system=_text(_blocks(request.get("system", ""))),
            tools={tool["name"]: tool for tool in request.get("tools", ())},
            said=tuple(said),
            calls=tuple(calls),
            recent=tuple(calls[spoke_at:]),
        )


def say(text: str) -> dict[str, Any]:
    """A reply of text."""
    return {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}


def use(name: str, **arguments: Any) -> dict[str, Any]:
    """A reply that calls a tool."""
    return {"content": [{"type": "tool_use", "name": name, "input": arguments}], "stop_reason": "tool_use"}


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text(blocks: list[Mapping[str, Any]]) -> str:
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def _call(use_block: Mapping[str, Any], result: Mapping[str, Any]) -> Call:
    text = _text(_blocks(result.get("content", "")))
    return Call(use_block["name"], use_block["input"], text, bool(result.get("is_error")))
