"""The agent: one request through model and tool calls to its answer.

What is the agent's own failure (an ill-formed answer, too many steps) is marked on the root span and still
answered. What is not (the model or the tools cannot be reached) is raised.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anthropic import Anthropic
from opentelemetry.trace import Span, Tracer

from helpdesk import answer, messages, telemetry
from helpdesk.ledger import Ledger
from helpdesk.settings import Settings
from helpdesk.tools import ToolResult, Tools

MAX_MODEL_CALLS = 8
MAX_TOKENS = 1024
INVALID_ANSWER = "final answer is not a JSON object with reply and action"
MAX_STEPS = f"stopped after {MAX_MODEL_CALLS} model calls without an answer"


@dataclass(frozen=True)
class Agent:
    """The agent with all that it works with; safe to use from many threads."""

    settings: Settings
    client: Anthropic
    tools: Tools
    tracer: Tracer
    ledger: Ledger | None = None

    def answer(self, request: Mapping[str, Any], root: Span) -> dict[str, Any]:
        """The answer {"reply", "action"} to `request`, whose span is `root`; `action` is None on failure."""
        text = self._converse(messages.to_api(request["messages"]), root)
        root.set_attribute("gen_ai.output.messages", _output(text))
        if text is None:
            telemetry.fail(root, "max_steps", MAX_STEPS)
            return {"reply": "", "action": None}
        parsed = answer.parse(text)
        if parsed is None:
            telemetry.fail(root, "invalid_answer", INVALID_ANSWER)
            return {"reply": text, "action": None}
        return parsed

    def _converse(self, conversation: list[Any], root: Span) -> str | None:
        """The model's last text, None when it did not come to one. Appends to `conversation`."""
        for _ in range(MAX_MODEL_CALLS):
            blocks = self._chat(conversation)
            calls = [block for block in blocks if block["type"] == "tool_use"]
            if not calls:
                return "".join(block["text"] for block in blocks if block["type"] == "text")
            conversation.append({"role": "assistant", "content": blocks})
            conversation.append({"role": "user", "content": [self._execute(call, root) for call in calls]})
        return None

    def _chat(self, conversation: list[Any]) -> list[dict[str, Any]]:
        model = self.settings.model
        with telemetry.chat_span(self.tracer, model, messages.from_api(conversation)) as span:
            response = self.client.messages.create(
                model=model,
                max_tokens=MAX_TOKENS,
                system=self.settings.policy,
                tools=self.settings.tools,
                messages=conversation,
            )
            blocks = [block.model_dump(include=_FIELDS[block.type]) for block in _known(response.content)]
            stop_reason = response.stop_reason or "end_turn"
            span.set_attributes(
                {
                    "gen_ai.response.id": response.id,
                    "gen_ai.response.model": response.model,
                    "gen_ai.response.finish_reasons": [stop_reason],
                    "gen_ai.usage.input_tokens": response.usage.input_tokens,
                    "gen_ai.usage.output_tokens": response.usage.output_tokens,
                    "gen_ai.output.messages": messages.output(blocks, stop_reason),
                }
            )
            return blocks

    def _execute(self, call: Mapping[str, Any], root: Span) -> dict[str, Any]:
        """Executes one call of the model; the tool_result block that answers it."""
        name, arguments = call["name"], call["input"]
        with telemetry.tool_span(self.tracer, name, call["id"], json.dumps(arguments)) as span:
            result = self.tools.call(name, arguments)
            span.set_attribute("gen_ai.tool.call.result", result.content)
            if result.is_error:
                telemetry.fail(span, "tool_error", result.content)
        if name == "refund_order":
            self._record(result, root)
        block = {"type": "tool_result", "tool_use_id": call["id"], "content": result.content}
        return {**block, "is_error": True} if result.is_error else block

    def _record(self, result: ToolResult, root: Span) -> None:
        if self.ledger is not None and not result.is_error:
            refund = json.loads(result.content)
            self.ledger.record(telemetry.trace_id(root), telemetry.span_id(root), refund)


_FIELDS: Mapping[str, set[str]] = {"text": {"type", "text"}, "tool_use": {"type", "id", "name", "input"}}


def _known(blocks: list[Any]) -> list[Any]:
    """The blocks that this agent asked for; it offers no server tools and no thinking."""
    return [block for block in blocks if block.type in _FIELDS]


def _output(text: str | None) -> str:
    reason = "length" if text is None else "end_turn"
    return messages.output([{"type": "text", "text": text or ""}], reason)
