"""Spans by OpenTelemetry's GenAI conventions, as OTLP's JSON over HTTP."""

import json
import os
import time
from typing import Any

from .http import post


class Trace:
    """One request's trace: the root, and a span for each call of the model and of a tool."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.id = os.urandom(16).hex()
        self.root = os.urandom(8).hex()
        self.began = self.now()
        self._asked = json.dumps(request["messages"])
        self.spans: list[dict[str, Any]] = []

    @staticmethod
    def now() -> int:
        """Nanoseconds."""
        return time.time_ns()

    def chat(self, began: int, model: str, said: dict[str, Any]) -> None:
        """A call of the model that has ended."""
        usage = said["usage"]
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "gen_ai.response.model": said["model"],
            "gen_ai.usage.input_tokens": usage["input_tokens"],
            "gen_ai.usage.output_tokens": usage["output_tokens"],
        }
        self._add(f"chat {model}", began, attributes)

    def tool(self, began: int, call: dict[str, Any], result: dict[str, Any]) -> None:
        """A call of a tool that has ended."""
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call["name"],
            "gen_ai.tool.call.id": call["id"],
            "gen_ai.tool.call.arguments": json.dumps(call["input"]),
            "gen_ai.tool.call.result": result["content"],
        }
        self._add(f"execute_tool {call['name']}", began, attributes, error=result["is_error"])

    def send(self) -> None:
        """Everything to the collector."""
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "desk",
            "gen_ai.input.messages": self._asked,
        }
        self._add("invoke_agent desk", self.began, attributes, root=True)
        resource = {"attributes": _attributes({"service.name": "desk"})}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": self.spans}]}]}
        post(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces", body)

    def _add(
        self, name: str, began: int, attributes: dict[str, Any], *, error: bool = False, root: bool = False
    ) -> None:
        span = {
            "traceId": self.id,
            "spanId": self.root if root else os.urandom(8).hex(),
            "name": name,
            "kind": 1,
            "startTimeUnixNano": str(began),
            "endTimeUnixNano": str(self.now()),
            "attributes": _attributes(attributes),
        }
        if not root:
            span["parentSpanId"] = self.root
        if error:
            span["status"] = {"code": 2}
        self.spans.append(span)


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]
