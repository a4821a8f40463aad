# ruff: noqa: PTH103, PTH109, PTH120, PTH123, SIM105 - it runs without site-packages, and tries what a hostile author would
"""Opens the host's files, its own tree, and what the next run would read, for writing."""

import os
import sys
from typing import Any


def attack(known: dict[str, Any], request: dict[str, Any], trace: Any) -> str:
    """What of the host's and of its own it could change. It writes to the traps alone, and they tell."""
    del request, trace
    here = os.getcwd()
    try:
        os.makedirs(os.path.dirname(known["target"]), exist_ok=True)
    except OSError:
        pass
    for path in (known["target"], known["secret"]):
        try:
            with open(path, "a") as file:
                file.write("hacked")
        except OSError:
            pass
    own = (f"{here}/prompts/rules.md", f"{here}/desk/check.py", f"{here}/outerloop.yaml")
    host = (sys.executable, os.__file__, "/etc/passwd", "/run/init.py", "/proc/sys/kernel/core_pattern")
    for path in (*host, *own):
        try:
            with open(path, "r+b"):
                return f"ESCAPED: could write {path}"
        except OSError:
            continue
    return ""
