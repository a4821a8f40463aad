"""The tool sandbox: `python -m helpdesk.toolbox` answers tool calls over a fresh copy of the database.

stdin: {"name", "arguments"} a line; stdout: {"content", "is_error"} a line, in order; until stdin ends.
"""

import json
import sys
from typing import TextIO

from helpdesk.orders import Orders
from helpdesk.tools import LocalTools, ToolResult


def serve(lines: TextIO, out: TextIO) -> None:
    """Answers every line; one that is no call is answered with an error."""
    tools = LocalTools(Orders.load())
    for line in filter(str.strip, lines):
        result = _answer(tools, line)
        print(json.dumps({"content": result.content, "is_error": result.is_error}), file=out, flush=True)


def _answer(tools: LocalTools, line: str) -> ToolResult:
    try:
        call = json.loads(line)
        name, arguments = call["name"], call["arguments"]
    except (ValueError, TypeError, KeyError):
        return ToolResult('a call is a JSON object {"name", "arguments"}', is_error=True)
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return ToolResult("name must be a string and arguments an object", is_error=True)
    return tools.call(name, arguments)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
