"""Writes far more than an answer, and sends far more spans than a trace has."""

import sys
from typing import Any

_LINES, _SPANS = 512, 20_500


def attack(known: dict[str, Any], request: dict[str, Any], trace: Any) -> str:
    """A word to the customer after 32 MiB."""
    del request
    line = "x" * 65536 + "\n"
    for _ in range(_LINES):
        sys.stdout.write(line)
    call, result = {"name": known["tool"], "id": "1", "input": known["arguments"]}, {"content": "ok"}
    trace.tool(trace.now(), call, {**result, "is_error": False})
    trace.spans *= _SPANS
    return "flooded"
