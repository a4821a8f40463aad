"""`python rooms.py`: an agent in plain code. Requests on stdin, one a line; answers on stdout.

A request is {"messages"}, in the form of the GenAI conventions; its answer {"reply"}, or {"error"} when the
model cannot be reached. No framework: the Messages API by urllib, spans as OTLP's JSON.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import diary
import yaml

PROMPTS = yaml.safe_load((Path(__file__).parent / "prompts.yaml").read_text())
MODEL = "claude-sonnet-5-5"
MAX_CALLS = 6


def definitions() -> list[dict[str, Any]]:
    """The tools as the Messages API takes them."""
    return [
        {
            "name": name,
            "description": PROMPTS["tools"][name],
            "input_schema": {
                "type": "object",
                "properties": {field: {"type": kind} for field, kind in fields.items()},
                "required": list(fields),
            },
        }
        for name, fields in diary.TOOLS.items()
    ]


def ask(messages: list[Any]) -> list[dict[str, Any]]:
    """The blocks of the model's answer."""
    body = {
        "model": MODEL,
        "max_tokens": 1024,
        "system": PROMPTS["system"],
        "tools": definitions(),
        "messages": messages,
    }
    headers = {"x-api-key": os.environ.get("ANTHROPIC_API_KEY", ""), "anthropic-version": "2023-06-01"}
    base = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    return list(post(f"{base}/v1/messages", body, headers)["content"])


def post(url: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    """POSTs JSON."""
    request = urllib.request.Request(  # noqa: S310 - the operator's own addresses, from the environment
        url, json.dumps(body).encode(), {"content-type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - the same
        return json.loads(response.read() or b"{}")


class Spans:
    """The spans of one request; the first one is the root, and parent of the others."""

    def __init__(self) -> None:
        self.trace_id = os.urandom(16).hex()
        self.spans: list[dict[str, Any]] = []

    def begin(self, name: str, **said: str) -> dict[str, Any]:
        """A span with attributes, `__` standing for a dot."""
        span: dict[str, Any] = {
            "traceId": self.trace_id,
            "spanId": os.urandom(8).hex(),
            "name": name,
            "startTimeUnixNano": str(time.time_ns()),
            "attributes": [],
            **({"parentSpanId": self.spans[0]["spanId"]} if self.spans else {}),
        }
        self.spans.append(span)
        return self.say(span, **said)

    def say(self, span: dict[str, Any], **said: str) -> dict[str, Any]:
        """Add attributes; the span ends now, as far as is known."""
        names = {key: key.replace("__", ".") for key in said}
        span["attributes"] += [{"key": names[k], "value": {"stringValue": v}} for k, v in said.items()]
        span["endTimeUnixNano"] = str(time.time_ns())
        return span

    def fail(self, span: dict[str, Any], kind: str, why: str) -> None:
        """Mark a span as failed."""
        self.say(span, error__type=kind)["status"] = {"code": 2, "message": why}

    def send(self) -> None:
        """Export, where there is a collector."""
        collector = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        if collector:
            resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "rooms"}}]}
            scoped = [{"scope": {"name": "rooms"}, "spans": self.spans}]
            post(
                f"{collector}/v1/traces",
                {"resourceSpans": [{"resource": resource, "scopeSpans": scoped}]},
                {},
            )


def message(role: str, text: str) -> str:
    """A text as a message of the GenAI conventions."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def asked(line: str) -> str:
    """The text of a request's last message."""
    parts = json.loads(line)["messages"][-1]["parts"]
    return "".join(part["content"] for part in parts if part["type"] == "text")


def answer(text: str, spans: Spans) -> str:
    """Model and tool calls, to the model's last text; "" when it comes to none."""
    root = spans.begin(
        "invoke_agent rooms",
        gen_ai__operation__name="invoke_agent",
        gen_ai__agent__name="rooms",
        gen_ai__input__messages=message("user", text),
    )
    messages: list[Any] = [{"role": "user", "content": text}]
    for _ in range(MAX_CALLS):
        chat = spans.begin(f"chat {MODEL}", gen_ai__operation__name="chat", gen_ai__request__model=MODEL)
        blocks = ask(messages)
        said = "".join(block["text"] for block in blocks if block["type"] == "text")
        spans.say(chat, gen_ai__output__messages=message("assistant", said))
        calls = [block for block in blocks if block["type"] == "tool_use"]
        if not calls:
            spans.say(root, gen_ai__output__messages=message("assistant", said))
            return said
        messages += [
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [use(c, spans) for c in calls]},
        ]
    spans.fail(root, "max_steps", f"stopped after {MAX_CALLS} model calls without an answer")
    return ""


def use(call: dict[str, Any], spans: Spans) -> dict[str, Any]:
    """One tool call, to the block that answers it."""
    span = spans.begin(
        f"execute_tool {call['name']}",
        gen_ai__operation__name="execute_tool",
        gen_ai__tool__name=call["name"],
        gen_ai__tool__call__arguments=json.dumps(call["input"]),
    )
    try:
        result, failed = json.dumps(diary.call(call["name"], call["input"])), False
    except diary.DiaryError as error:
        result, failed = str(error), True
        spans.fail(span, "tool_error", result)
    spans.say(span, gen_ai__tool__call__result=result)
    return {"type": "tool_result", "tool_use_id": call["id"], "content": result, "is_error": failed}


def main() -> None:
    """Answers stdin."""
    for line in filter(str.strip, sys.stdin):
        spans = Spans()
        try:
            said = {"reply": answer(asked(line), spans)}
        except OSError as error:
            spans.fail(spans.spans[0], "model_unreachable", str(error))
            said = {"error": str(error)}
        spans.send()
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
