"""How many tokens something is: about four characters each, always the same for the same content."""

import json
from math import ceil
from typing import Any

CHARS_PER_TOKEN = 4
_IMAGE = " " * 1_600 * CHARS_PER_TOKEN  # an image costs by its pixels, not by its base64


def count_tokens(content: Any) -> int:
    """Tokens of any JSON value; at least 1."""
    text = json.dumps(as_read(content), ensure_ascii=False, separators=(",", ":"))
    return max(1, ceil(len(text) / CHARS_PER_TOKEN))


def count_prompt(request: dict[str, Any]) -> int:
    """Input tokens of a request: what the model reads, not how it was asked to answer."""
    return count_tokens({key: request[key] for key in ("system", "tools", "messages") if key in request})


def as_read(value: Any) -> Any:
    """What the model reads of a JSON value: an image by its size, and no mark of the cache."""
    if isinstance(value, list):
        return [as_read(item) for item in value]
    if isinstance(value, dict):
        if value.get("type") == "base64":
            return _IMAGE
        return {key: as_read(item) for key, item in value.items() if key != "cache_control"}
    return value
