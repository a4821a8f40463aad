"""Which attribute says what, in the dialects that instrumentations speak. One table, first match wins.

OTel GenAI: github.com/open-telemetry/semantic-conventions-genai (new names first, then the deprecated
ones). OpenInference: Arize's semantic conventions. Traceloop: OpenLLMetry's semconv_ai.
"""

from collections.abc import Mapping

# Field of outerloop.trace.model.Span -> attribute names, the best first.
FIELDS: dict[str, tuple[str, ...]] = {
    "agent": ("gen_ai.agent.name", "agent.name", "traceloop.workflow.name"),
    "agent_version": ("gen_ai.agent.version",),
    "session_id": ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id"),
    "operation": ("gen_ai.operation.name",),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "model": ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
    "tool": ("gen_ai.tool.name", "tool.name"),
    "arguments": ("gen_ai.tool.call.arguments", "tool.parameters"),
    "result": ("gen_ai.tool.call.result", "gen_ai.tool.call.response"),
    "input": ("gen_ai.input.messages",),
    "output": ("gen_ai.output.messages",),
    "error_type": ("error.type",),
}
COUNTS: dict[str, tuple[str, ...]] = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
    ),
}
# Span kinds of OpenInference and Traceloop -> gen_ai.operation.name.
KINDS = {
    "agent": "invoke_agent",
    "llm": "chat",
    "tool": "execute_tool",
    "embedding": "embeddings",
    "retriever": "retrieval",
    "workflow": "invoke_workflow",
}
# For these operations, where the plain input and output of OpenInference and Traceloop belong.
PLAIN_INPUT = ("input.value", "traceloop.entity.input")
PLAIN_OUTPUT = ("output.value", "traceloop.entity.output")


def understand(attributes: Mapping[str, str], resource: Mapping[str, str]) -> dict[str, str | int]:
    """The fields of Span that `attributes` speak of; a field that nothing says is left out."""
    fields: dict[str, str | int] = {}
    for field, names in FIELDS.items():
        if value := _first(attributes, names):
            fields[field] = value
    for field, names in COUNTS.items():
        if (value := _first(attributes, names)).isdecimal():
            fields[field] = int(value)
    kind = attributes.get("openinference.span.kind") or attributes.get("traceloop.span.kind") or ""
    operation = fields.setdefault("operation", KINDS.get(kind.lower(), ""))
    _plain(fields, str(operation), attributes)
    if version := resource.get("service.version"):
        fields.setdefault("agent_version", version)
    if operation == "invoke_agent":
        fields.setdefault("agent", resource.get("service.name", ""))
    return fields


def _plain(fields: dict[str, str | int], operation: str, attributes: Mapping[str, str]) -> None:
    into = ("arguments", "result") if operation == "execute_tool" else ("input", "output")
    for field, names in zip(into, (PLAIN_INPUT, PLAIN_OUTPUT), strict=True):
        if value := _first(attributes, names):
            fields.setdefault(field, value)


def _first(attributes: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((attributes[name] for name in names if attributes.get(name)), "")
