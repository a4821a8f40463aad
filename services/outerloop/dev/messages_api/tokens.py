"""How many tokens something is: about four characters each, always the same for the same content."""

import json
from math import ceil
from typing import Any

CHARS_PER_TOKEN = 4
_IMAGE = " " * 1_600 * CHARS_PER_TOKEN  # an image costs by its pixels, not by its base64


def count_tokens(content: Any) -> int:
    """Tokens of any JSON value; at least 1."""
    text = json.dumps(_without_images(content), ensure_ascii=False, separators=(",", ":"))
    return max(1, ceil(len(text) / CHARS_PER_TOKEN))


def count_prompt(request: dict[str, Any]) -> int:
    """Input tokens of a request: what the model reads, not how it was asked to answer."""
    return count_tokens({key: request[key] for key in ("system", "tools", "messages") if key in request})


def _without_images(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_images(item) for item in value]
    if isinstance(value, dict):
        if value.get("type") == "base64":
            return _IMAGE
        return {key: _without_images(item) for key, item in value.items()}
    return value
