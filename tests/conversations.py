"""Hand-made conversations, as agents record them: whole history, what is new, flat attributes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from outerloop.trace.model import Trace
from outerloop.trace.otlp import spans_of
from samples import Call, request, span

Shape = Literal["whole", "delta", "flat", "spans"]
SHAPES: tuple[Shape, ...] = ("whole", "delta", "flat")
POLICY = "You are the assistant of a shop. Obtain explicit confirmation before you change an order."


@dataclass(frozen=True)
class Said:
    """A line of the dialogue."""

    role: Literal["user", "assistant"]
    text: str


Line = Said | Call


def user(text: str) -> Said:
    """What the user says."""
    return Said("user", text)


def agent(text: str) -> Said:
    """What the agent says."""
    return Said("assistant", text)


@dataclass
class _Recorder:
    """Writes lines down as the spans of one trace."""

    number: int
    shape: Shape
    policy: str
    finish: str
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: int = 0
    spans: list[Any] = field(default_factory=list[Any])

    def chat(self, output: dict[str, Any]) -> None:
        heard = self.history[self.told :] if self.shape == "delta" else self.history
        said: dict[str, str] = {}
        if self.shape == "flat":
            system = {"role": "system", "parts": [{"type": "text", "content": self.policy}]}
            said |= dict(_flat("llm.input_messages", [system, *heard]))
            said |= dict(_flat("llm.output_messages", [output]))
            said["openinference.span.kind"] = "LLM"
        elif self.shape != "spans":
            said = {
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json.dumps(heard),
                "gen_ai.output.messages": json.dumps([output | {"finish_reason": self.finish}]),
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": self.policy}]),
            }
        if said:
            self._add("chat m", said)
        self.told = len(self.history)
        self.history.append(output)

    def tool(self, call: Call, call_id: str) -> None:
        arguments = json.dumps(call.arguments)
        if self.shape == "flat":
            said = {
                "openinference.span.kind": "TOOL",
                "tool.name": call.tool,
                "tool.id": call_id,
                "input.value": arguments,
                "output.value": call.result,
            }
        else:
            said = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.tool,
                "gen_ai.tool.call.id": call_id,
                "gen_ai.tool.call.arguments": arguments,
                "gen_ai.tool.call.result": call.result,
            }
        self._add(f"execute_tool {call.tool}", said, error="failed" if call.failed else "")
        response = {"type": "tool_call_response", "id": call_id, "response": call.result}
        self.history.append({"role": "tool", "parts": [response]})

    def _add(self, name: str, said: dict[str, str], error: str = "") -> None:
        named = {key.replace(".", "__"): value for key, value in said.items()}
        self.spans.append(span(self.number, len(self.spans) + 1, name, error=error, **named))


def conversation(
    number: int, *lines: Line, shape: Shape = "whole", policy: str = POLICY, finish: str = "stop"
) -> Trace:
    """The trace of a conversation; its root says nothing but that an agent ran."""
    return Trace.of(spans_of(exported(number, *lines, shape=shape, policy=policy, finish=finish)))


def exported(
    number: int,
    *lines: Line,
    shape: Shape = "whole",
    policy: str = POLICY,
    finish: str = "stop",
    name: str = "shop",
) -> ExportTraceServiceRequest:
    """The same as the agent of this name exports it."""
    recorder = _Recorder(number, shape, policy, finish)
    _record(recorder, lines)
    root = span(number, 0, "run", gen_ai__operation__name="invoke_agent", gen_ai__agent__name=name)
    return request(root, *recorder.spans)


def _record(recorder: _Recorder, lines: Sequence[Line]) -> None:
    for place, line in enumerate(lines):
        if isinstance(line, Call):
            call_id = f"call-{recorder.number}-{place}"
            called = {"type": "tool_call", "id": call_id, "name": line.tool, "arguments": line.arguments}
            recorder.chat({"role": "assistant", "parts": [called]})
            recorder.tool(line, call_id)
        elif line.role == "user":
            recorder.history.append({"role": "user", "parts": [{"type": "text", "content": line.text}]})
        else:
            recorder.chat({"role": "assistant", "parts": [{"type": "text", "content": line.text}]})


def _flat(prefix: str, messages: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for n, message in enumerate(messages):
        at = f"{prefix}.{n}.message"
        yield f"{at}.role", message["role"]
        for m, part in enumerate(message["parts"]):
            call = f"{at}.tool_calls.{m}.tool_call"
            match part["type"]:
                case "text":
                    yield f"{at}.content", part["content"]
                case "tool_call":
                    yield f"{call}.id", part["id"]
                    yield f"{call}.function.name", part["name"]
                    yield f"{call}.function.arguments", json.dumps(part["arguments"])
                case _:
                    yield f"{at}.content", part["response"]
                    yield f"{at}.tool_call_id", part["id"]
