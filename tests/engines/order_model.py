"""A script that plays the model of the example clients: it looks up the order that was asked about."""

import re
from typing import Any

from outerloop.dev.messages_api import Dice, Reply

_ORDER = re.compile(r"[A-Z]-\d+")


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    """One call of get_order, then what it said."""
    last = request["messages"][-1]["content"]
    blocks = [{"type": "text", "text": last}] if isinstance(last, str) else last
    for block in blocks:
        if block["type"] == "tool_result":
            said = block["content"]
            text = said if isinstance(said, str) else "".join(part["text"] for part in said)
            return {"content": [{"type": "text", "text": f"Your order: {text}"}]}
    order = _ORDER.search("".join(block["text"] for block in blocks))
    used = {"type": "tool_use", "name": "get_order", "input": {"order_id": order[0] if order else "?"}}
    return {"content": [{"type": "text", "text": "I look it up."}, used]}
