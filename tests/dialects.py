"""A span or two in every dialect, as its instrumentation writes it, and what it says."""

import json
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

import samples

ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Where is a/b?"}]}]
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "Tomorrow."}]}]


@dataclass(frozen=True)
class Fixture:
    """The attributes of one span, and the fields of Span that they give; `resource` beside service.name."""

    attributes: dict[str, Any]
    expected: dict[str, Any]
    version: str = ""

    def export(self, number: int) -> ExportTraceServiceRequest:
        """The span alone, as the root of the run of that number."""
        span = samples.span(number, 0, "x")
        span.attributes.extend(KeyValue(key=k, value=any_value(v)) for k, v in self.attributes.items())
        return samples.request(span, version=self.version)


def any_value(value: Any) -> AnyValue:
    """A value of Python as OTLP has it."""
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(v) for v in value]))
    if isinstance(value, dict):
        pairs = [KeyValue(key=k, value=any_value(v)) for k, v in value.items()]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    arms = {
        str: "string_value",
        bool: "bool_value",
        int: "int_value",
        float: "double_value",
        bytes: "bytes_value",
    }
    return AnyValue(**{arms[type(value)]: value}) if value is not None else AnyValue()


_LLM_TOKENS = {"input_tokens": 12, "output_tokens": 3}
FIXTURES = {
    "gen_ai": Fixture(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-x",
            "gen_ai.response.model": "claude-x-1",
            "gen_ai.agent.name": "helpdesk",
            "gen_ai.agent.version": "7",
            "gen_ai.conversation.id": "c-1",
            "gen_ai.input.messages": json.dumps(ASKED),
            "gen_ai.output.messages": json.dumps(SAID),
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.usage.cache_read.input_tokens": 5,
            "gen_ai.usage.cache_creation.input_tokens": 6,
            "gen_ai.usage.reasoning.output_tokens": 2,
            "gen_ai.response.finish_reasons": ["stop"],
            "error.type": "timeout",
        },
        {
            "operation": "chat",
            "provider": "anthropic",
            "model": "claude-x-1",
            "agent": "helpdesk",
            "agent_version": "7",
            "session_id": "c-1",
            "input": json.dumps(ASKED),
            "output": json.dumps(SAID),
            **_LLM_TOKENS,
            "cache_read_tokens": 5,
            "cache_write_tokens": 6,
            "reasoning_tokens": 2,
            "error_type": "timeout",
        },
    ),
    "gen_ai structured": Fixture(
        {"gen_ai.operation.name": "chat", "gen_ai.input.messages": ASKED, "gen_ai.output.messages": SAID},
        {
            "operation": "chat",
            "input": json.dumps(ASKED, separators=(",", ":")),
            "output": json.dumps(SAID, separators=(",", ":")),
        },
    ),
    "gen_ai old names": Fixture(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt",
            "gen_ai.usage.prompt_tokens": 12,
            "gen_ai.usage.completion_tokens": 3,
            "gen_ai.usage.cache_read_input_tokens": 5,
            "gen_ai.usage.cost": 0.0125,
        },
        {"operation": "chat", "provider": "openai", "model": "gpt", **_LLM_TOKENS}
        | {"cache_read_tokens": 5, "cost": 0.0125},
    ),
    "gen_ai tool": Fixture(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_order",
            "gen_ai.tool.call.arguments": {"id": "A-1", "n": [1, 2.5, True, None]},
            "gen_ai.tool.call.response": "late",
        },
        {
            "operation": "execute_tool",
            "tool": "get_order",
            "arguments": '{"id":"A-1","n":[1,2.5,true,null]}',
            "result": "late",
        },
    ),
    "gen_ai agent without a name": Fixture(
        {"gen_ai.operation.name": "invoke_agent"},
        {"operation": "invoke_agent", "agent": "shop", "agent_version": "2.0"},
        version="2.0",
    ),
    "openinference llm": Fixture(
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "openai",
            "llm.model_name": "gpt-4o",
            "session.id": "s-9",
            "input.value": '{"raw":"request"}',
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": 'Say "hi" / \u2028\n',
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "Hello",
            "llm.input_messages.1.message.contents.1.message_content.text": "there",
            "llm.input_messages.10.message.role": "tool",
            "llm.input_messages.2.message.role": "assistant",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "t1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"id": 1}',
            "llm.token_count.prompt": 12,
            "llm.token_count.completion": 3,
            "llm.token_count.prompt_details.cache_read": 5,
            "llm.token_count.completion_details.reasoning": 2,
            "llm.cost.total": 1e-05,
        },
        {
            "operation": "chat",
            "provider": "openai",
            "model": "gpt-4o",
            "session_id": "s-9",
            "input": '[{"role":"system","parts":[{"type":"text","content":"Say \\"hi\\" / \\u2028\\n"}]},'
            '{"role":"user","parts":[{"type":"text","content":"Hello"},{"type":"text","content":"there"}]},'
            '{"role":"assistant","parts":[]},{"role":"tool","parts":[]}]',
            "output": '[{"role":"assistant","parts":[{"type":"tool_call","id":"t1","name":"get",'
            '"arguments":"{\\"id\\": 1}"}]}]',
            **_LLM_TOKENS,
            "cache_read_tokens": 5,
            "reasoning_tokens": 2,
            "cost": 1e-05,
        },
    ),
    "openinference tool": Fixture(
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "search",
            "tool.parameters": '{"q": "x"}',
            "output.value": "3 hits",
            "exception.type": "KeyError",
        },
        {"operation": "execute_tool", "tool": "search", "arguments": '{"q": "x"}', "result": "3 hits"}
        | {"error_type": "KeyError"},
    ),
    "openinference tool of OpenAI Agents": Fixture(
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "get_order",
            "input.value": '{"order_id": "A-1"}',
            "output.value": "shipped",
            "tool.parameters": '{"properties": {"order_id": {"type": "string"}}, "type": "object"}',
        },
        {"operation": "execute_tool", "tool": "get_order", "arguments": '{"order_id": "A-1"}'}
        | {"result": "shipped"},
    ),
    "openinference tool of LangGraph": Fixture(
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "get_order",
            "input.value": "A-1",
            "output.value": '{"type": "tool", "data": {"content": "shipped: \\u00fc / \\"x\\"", "type": '
            '"tool", "name": "get_order", "id": null, "tool_call_id": "toolu_1", "status": "success"}}',
            "metadata": '{"lc_agent_name": "orders", "langgraph_step": 2}',
        },
        {"operation": "execute_tool", "tool": "get_order", "arguments": "A-1", "agent": "orders"}
        | {"result": 'shipped: ü / "x"'},
    ),
    "openinference tool that says something like it": Fixture(
        {
            "openinference.span.kind": "TOOL",
            "output.value": '{"type": "tool", "data": {"content": "shipped", "tool_call_id": 3}}',
            "metadata": '{"lc_agent_name": 5}',
        },
        {
            "operation": "execute_tool",
            "result": '{"type": "tool", "data": {"content": "shipped", "tool_call_id": 3}}',
        },
    ),
    "openinference tool of LangGraph that says half a character": Fixture(
        {
            "openinference.span.kind": "TOOL",
            "output.value": '{"data": {"content": "a\\ud800", "tool_call_id": "toolu_1"}}',
        },
        {
            "operation": "execute_tool",
            "result": '{"data": {"content": "a\\ud800", "tool_call_id": "toolu_1"}}',
        },
    ),
    "anthropic sdk": Fixture(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.tool.name": "get_order",
            "gen_ai.tool.call.arguments": '{"order_id":"Z-9"}',
            "gen_ai.conversation.id": "c-1",
            "anthropic.tool_result.content": '[{"type":"text","text":"no order"},{"type":"image"},'
            '{"type":"text","text":"Z-9"}]',
            "error.type": "tool_error",
        },
        {
            "operation": "execute_tool",
            "provider": "anthropic",
            "tool": "get_order",
            "arguments": '{"order_id":"Z-9"}',
            "session_id": "c-1",
            "result": "no order\nZ-9",
            "error_type": "tool_error",
        },
    ),
    "anthropic sdk without text": Fixture(
        {"gen_ai.operation.name": "execute_tool", "anthropic.tool_result.content": '[{"type":"image"}]'},
        {"operation": "execute_tool", "result": '[{"type":"image"}]'},
    ),
    "openinference agent": Fixture(
        {"openinference.span.kind": "AGENT", "agent.name": "a", "input.value": "Hi", "output.value": "Ho"},
        {"operation": "invoke_agent", "agent": "a", "input": "Hi", "output": "Ho"},
    ),
    "openllmetry": Fixture(
        {
            "traceloop.span.kind": "llm",
            "traceloop.workflow.name": "flow",
            "traceloop.association.properties.session_id": "s",
            "gen_ai.system": "Anthropic",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Ho",
            "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.completion.0.tool_calls.0.id": "1",
            "gen_ai.completion.0.tool_calls.0.name": "get",
            "gen_ai.completion.0.tool_calls.0.arguments": "{}",
        },
        {
            "operation": "chat",
            "agent": "flow",
            "session_id": "s",
            "provider": "Anthropic",
            "input": '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]',
            "output": '[{"role":"assistant","parts":[{"type":"text","content":"Ho"},'
            '{"type":"tool_call","id":"1","name":"get","arguments":"{}"}]}]',
        },
    ),
    "openllmetry tool": Fixture(
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "get",
            "traceloop.entity.input": "{}",
            "traceloop.entity.output": "ok",
        },
        {"operation": "execute_tool", "arguments": "{}", "result": "ok", "tool": "get"},
    ),
    "langfuse": Fixture(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "claude",
            "langfuse.observation.input": "Hi",
            "langfuse.observation.output": "Ho",
            "langfuse.observation.usage_details": '{"input": 12, "output": 3, "cache_read_input_tokens": 5}',
            "langfuse.observation.cost_details": '{"total": 0.5, "input": "x"}',
            "langfuse.observation.level": "ERROR",
            "langfuse.session.id": "s",
            "langfuse.version": "9",
        },
        {
            "operation": "chat",
            "model": "claude",
            "input": "Hi",
            "output": "Ho",
            **_LLM_TOKENS,
            "cache_read_tokens": 5,
            "cost": 0.5,
            "error_type": "ERROR",
            "session_id": "s",
            "agent_version": "9",
        },
    ),
    "laminar": Fixture(
        {
            "lmnr.span.type": "LLM",
            "lmnr.span.input": '[{"role":"user","content":"Hi"}]',
            "lmnr.span.output": "Ho",
            "lmnr.association.properties.session_id": "s",
            "gen_ai.usage.details.reasoning_tokens": 2,
        },
        {
            "operation": "chat",
            "input": '[{"role":"user","content":"Hi"}]',
            "output": "Ho",
            "session_id": "s",
            "reasoning_tokens": 2,
        },
    ),
    "langfuse tool": Fixture(
        {
            "langfuse.observation.type": "tool",
            "langfuse.observation.input": '{"id": 1}',
            "langfuse.observation.output": "ok",
        },
        {"operation": "execute_tool", "tool": "x", "arguments": '{"id": 1}', "result": "ok"},
    ),
    "laminar tool": Fixture(
        {"lmnr.span.type": "TOOL", "lmnr.span.input": "{}", "lmnr.span.output": "ok"},
        {"operation": "execute_tool", "tool": "x", "arguments": "{}", "result": "ok"},
    ),
    "numbers that are none": Fixture(
        {
            "gen_ai.usage.input_tokens": "9" * 5000,
            "gen_ai.usage.output_tokens": "-3",
            "gen_ai.usage.cost": "inf",
            "gen_ai.usage.reasoning_tokens": "٣",
            "langfuse.observation.usage_details": "[[[",
        },
        {},
    ),
}
