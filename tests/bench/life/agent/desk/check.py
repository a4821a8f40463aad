"""The agent's own tests: what must simply hold of its files."""

import sys

from . import agent

if __name__ == "__main__":
    if "## Rules" not in agent.prompts():
        sys.exit("prompts/ has no rules")
    if not all(tool["name"] and tool["input_schema"] for tool in agent.tools()):
        sys.exit("tools/tools.json has a tool without a name or a schema")
