"""The agent's loop: model call, tool calls, model call, until there is an answer."""

import json
import os
from typing import Any

from .http import post
from .spans import Trace

MODEL = "claude-haiku-4-5"
MOST_CALLS = 4


def answer(request: dict[str, Any], trace: Trace) -> str:
    """The text for the customer."""
    text = "".join(part["content"] for part in request["messages"][0]["parts"])
    talk: list[dict[str, Any]] = [{"role": "user", "content": text}]
    for _ in range(MOST_CALLS):
        blocks = chat(talk, trace)
        calls = [block for block in blocks if block["type"] == "tool_use"]
        if not calls:
            return "".join(block["text"] for block in blocks)
        talk.append({"role": "assistant", "content": blocks})
        talk.append({"role": "user", "content": [execute(call, trace) for call in calls]})
    return ""


def chat(talk: list[dict[str, Any]], trace: Trace) -> list[dict[str, Any]]:
    """One call of the model."""
    headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
    body = {"model": MODEL, "max_tokens": 512, "system": prompts(), "tools": tools(), "messages": talk}
    began = trace.now()
    said = post(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body, headers)
    trace.chat(began, MODEL, said)
    return [block for block in said["content"] if block["type"] in {"text", "tool_use"}]


def execute(call: dict[str, Any], trace: Trace) -> dict[str, Any]:
    """One call of a tool; the block that answers it."""
    began = trace.now()
    result = post(
        os.environ["OUTERLOOP_TOOLS_URL"] + "/call", {"name": call["name"], "arguments": call["input"]}
    )
    trace.tool(began, call, result)
    block = {"type": "tool_result", "tool_use_id": call["id"], "content": result["content"]}
    return {**block, "is_error": True} if result["is_error"] else block


def prompts() -> str:
    """The system prompt: every file of prompts/, in the order of their names."""
    return "\n".join(_read(f"prompts/{name}") for name in sorted(os.listdir("prompts")))  # noqa: PTH208 - pathlib is slow to import


def tools() -> list[dict[str, Any]]:
    """The tools as the model sees them."""
    found: list[dict[str, Any]] = json.loads(_read("tools/tools.json"))
    return found


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
        return file.read()
