# ruff: noqa: S606 - it runs without site-packages, and tries what a hostile author would
"""Leaves a daemon behind, twice forked, in a session of its own."""

import os
import sys
import time
from typing import Any


def attack(known: dict[str, Any], request: dict[str, Any], trace: Any) -> str:
    """Nothing: the traps tell."""
    del request, trace
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(3):
                os.close(number)
            sleep = "import time; time.sleep(600)"
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", sleep, known["daemon"]])
        os._exit(0)
    time.sleep(0.05)
    return ""
