"""One message as the server-sent events of `stream: true`."""

import json
from collections.abc import Iterator
from typing import Any

_CHUNK = 16  # characters a delta: small, so that clients must join and an event may fall anywhere


def stream_events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of `message`, in the API's order."""
    usage = message["usage"]
    opened = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**opened, "usage": {**usage, "output_tokens": 1}}}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        start, deltas = _opening(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details")},
        "usage": {key: count for key, count in usage.items() if key.endswith("_tokens")},
    }
    yield {"type": "message_stop"}


def encode(event: dict[str, Any]) -> bytes:
    """One event on the wire."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def _opening(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The block as it starts, empty, and the deltas that fill it."""
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": part} for part in _chunks(block["text"])]
        return {**block, "text": ""}, deltas
    # The real API sends an empty piece of JSON first, and nothing more for a call without arguments.
    parts = ["", *_chunks(json.dumps(block["input"]) if block["input"] else "")]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def _chunks(text: str) -> Iterator[str]:
    for start in range(0, len(text), _CHUNK):
        yield text[start : start + _CHUNK]
