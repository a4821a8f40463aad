"""Rehearsal: the tools of a proposer's harness over files in memory, to try the script without a harness."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_STEPS = 12
_TEXT = {"type": "string"}
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "list_files": {},
    "read_file": {"path": _TEXT},
    "search": {"pattern": _TEXT},
    "edit_file": {"path": _TEXT, "old": _TEXT, "new": _TEXT},
    "run_tests": {},
    "finish": {"diagnosis": _TEXT, "cause": _TEXT, "risk": _TEXT, "confidence": {"type": "number"}},
    "give_up": {"reason": _TEXT},
}
TOOLS = [
    {"name": name, "description": name, "input_schema": {"type": "object", "properties": properties}}
    for name, properties in _PARAMETERS.items()
]


@dataclass
class Rehearsal:
    """`files` by path, changed in place; `calls` are the tools called, `said` the last call's arguments."""

    files: dict[str, str]
    calls: list[str] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)

    def run(self, reply: Callable[[dict[str, Any]], Mapping[str, Any]], brief: str) -> "Rehearsal":
        """Lets `reply` work on `brief` until it finishes, gives up, or has made MAX_STEPS calls."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": brief}]
        for step in range(MAX_STEPS):
            content = reply({"system": "You repair agents.", "tools": TOOLS, "messages": messages})["content"]
            call = {"id": f"toolu_{step}", **content[0]}
            self.calls.append(call["name"])
            self.said = call["input"]
            if call["name"] in {"finish", "give_up"}:
                break
            text, is_error = self._execute(call["name"], call["input"])
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": text, "is_error": is_error}
            messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        return self

    def _execute(self, name: str, arguments: Mapping[str, str]) -> tuple[str, bool]:
        match name:
            case "list_files":
                return "\n".join(sorted(self.files)), False
            case "read_file":
                text = self.files.get(arguments["path"])
                return (text, False) if text is not None else ("no such file", True)
            case "search":
                return "\n".join(
                    p for p, t in self.files.items() if re.search(arguments["pattern"], t)
                ), False
            case "edit_file":
                return self._edit(**arguments)
        return "OK", False

    def _edit(self, path: str, old: str, new: str) -> tuple[str, bool]:
        found = self.files.get(path, "").count(old)
        if found != 1:
            return f"`old` occurs {found} times", True
        self.files[path] = self.files[path].replace(old, new)
        return "edited", False
