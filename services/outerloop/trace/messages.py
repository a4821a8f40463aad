"""Messages: texts and calls in what a span says went in and came out, and JSON of traces read with care."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

# As deep as protobuf allows; deeper JSON is hostile, and would end in a RecursionError further on.
_LEVELS = 100
_LANGCHAIN_ROLES = {"human": "user", "ai": "assistant"}


def text_of(message: Mapping[str, Any]) -> str:
    """The text parts of one GenAI message, joined; also of the older {"role", "content"} form."""
    parts = message.get("parts")
    if parts is None:
        return str(message.get("content") or "")
    named = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    return "\n".join(str(p.get("content") or "") for p in named if p.get("type") == "text")


def asked_for(output: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each call of a tool that the answer of a model asks for: its name and arguments."""
    for message in messages_of(output, "assistant"):
        parts = message.get("parts")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("type") == "tool_call":
                given = part.get("arguments")
                arguments = given if isinstance(given, dict) else object_of(str(given or ""))
                yield str(part.get("name")), arguments


def messages_of(text: str, role: str) -> list[Any]:
    """The GenAI messages of a text; what is none of a known form is one message of that role."""
    # OpenInference and Traceloop give plain text where the GenAI conventions give messages.
    value = _json(text)
    if said := _of_state(value):
        return said if role == "user" else said[-1:]
    if isinstance(value, list):
        return [m for m in value if isinstance(m, dict)]
    if isinstance(value, dict) and ("parts" in value or "content" in value):
        return [value]
    return [{"role": role, "parts": [{"type": "text", "content": text}]}] if text else []


def _of_state(value: Any) -> list[Any]:
    """The messages of a LangGraph's state, the last of which is its answer; [] when it is none."""
    listed = value.get("messages") if isinstance(value, dict) else None
    said = []
    for message in listed if isinstance(listed, list) else ():
        data = message.get("data") if isinstance(message, dict) else None
        if not isinstance(data, dict):
            return []
        role = _LANGCHAIN_ROLES.get(str(message.get("type")), str(message.get("type")))
        content = data.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts = [b.get("text") for b in blocks if isinstance(b, dict) and b.get("type") == "text"]
        parts = [{"type": "text", "content": text} for text in texts if isinstance(text, str) and text]
        said.append({"role": role, "parts": parts})
    return said


def object_of(text: str) -> dict[str, Any]:
    """The object that a JSON text says; {} when it says none that could be written again: it is hostile."""
    value = _json(text)
    return value if isinstance(value, dict) else {}


def _json(text: str) -> Any:
    """The value of a JSON text, None when it is none that could be written again: traces are hostile."""
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not _within(value, _LEVELS):
        return None
    if "\\ud" in text.lower():  # half of a surrogate pair is a str in Python, and not text anywhere else
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _within(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_within(item, levels - 1) for item in items)
