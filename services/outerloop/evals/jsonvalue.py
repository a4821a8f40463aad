"""When two JSON values are the same: numbers by value (1 is 1.0, but true is not 1), objects in any order."""

import json
from typing import Any


def canonical(value: Any) -> str:
    """One text for all equal JSON values, so that it can be compared, counted and looked up."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
