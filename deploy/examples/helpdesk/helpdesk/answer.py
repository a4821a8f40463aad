"""The final answer: a JSON object {"reply", "action"} and nothing else."""

import json
from typing import Any

ACTIONS = frozenset({"none", "refunded", "cancelled", "address_changed", "refused", "escalated"})


def parse(text: str) -> dict[str, Any] | None:
    """The answer in the model's last text, None when it is not one."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("reply"), str):
        return None
    action = answer.get("action")
    return {"reply": answer["reply"], "action": action} if action in ACTIONS else None
