"""Which attribute says what, in the dialects that instrumentations speak. One table, first match wins.

Two readers follow it, and a test holds them together: trace.understand in Python, and the columns of
otel_traces in SQL (store.dialect_sql writes them). A name `a#b` means member `b` of the JSON object in `a`:
a text in FIELDS, a number in COUNTS and COSTS.

OTel GenAI: github.com/open-telemetry/semantic-conventions-genai (new names first, then the deprecated
ones). OpenInference: Arize's semantic conventions. Traceloop: OpenLLMetry's semconv_ai. Langfuse: its
OpenTelemetry attributes (langfuse.observation.*). Laminar: lmnr.*. What a dialect of its own says more
exactly stands before what several share.
"""

from dataclasses import dataclass

# Field of outerloop.trace.model.Span -> attribute names, the best first.
FIELDS: dict[str, tuple[str, ...]] = {
    "agent": ("gen_ai.agent.name", "agent.name", "traceloop.workflow.name", "metadata#lc_agent_name"),
    "agent_version": ("gen_ai.agent.version", "langfuse.version", "langfuse.release"),
    "session_id": (
        "gen_ai.conversation.id",
        "session.id",
        "langfuse.session.id",
        "traceloop.association.properties.session_id",
        "lmnr.association.properties.session_id",
    ),
    "operation": ("gen_ai.operation.name",),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "model": (
        "gen_ai.response.model",
        "gen_ai.request.model",
        "llm.response.model_name",
        "llm.model_name",
        "llm.request.model_name",
        "langfuse.observation.model.name",
    ),
    "tool": ("gen_ai.tool.name", "tool.name"),
    "arguments": ("gen_ai.tool.call.arguments",),
    "result": ("gen_ai.tool.call.result", "gen_ai.tool.call.response"),
    "input": ("gen_ai.input.messages",),
    "output": ("gen_ai.output.messages",),
    "error_type": ("error.type", "exception.type"),
}
COUNTS: dict[str, tuple[str, ...]] = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "langfuse.observation.usage_details#input",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "langfuse.observation.usage_details#output",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
        "langfuse.observation.usage_details#cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
        "langfuse.observation.usage_details#cache_creation_input_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "langfuse.observation.usage_details#output_reasoning_tokens",
    ),
}
# In US dollars.
COSTS: dict[str, tuple[str, ...]] = {
    "cost": ("gen_ai.usage.cost", "llm.cost.total", "langfuse.observation.cost_details#total"),
}
# Numbers are read where they look so, and are 0 otherwise: a trace may say anything.
COUNT = "^[0-9]{1,18}$"
COST = "^[0-9]{1,15}([.][0-9]{1,18})?([eE][-+]?[0-9]{1,2})?$"

# A number in a flattened list, and the dot behind it.
NUMBER = "^(0|[1-9][0-9]{0,3})[.]"

# Where the kind of a span stands -> what gen_ai.operation.name calls it (compared in ASCII lower case).
KIND_NAMES = (
    "openinference.span.kind",
    "traceloop.span.kind",
    "langfuse.observation.type",
    "lmnr.span.type",
)
KINDS = {
    "agent": "invoke_agent",
    "llm": "chat",
    "generation": "chat",
    "tool": "execute_tool",
    "embedding": "embeddings",
    "retriever": "retrieval",
    "workflow": "invoke_workflow",
}
# The plain input and output of a span: those of the tool for execute_tool, messages otherwise.
PLAIN_INPUT = ("input.value", "langfuse.observation.input", "lmnr.span.input", "traceloop.entity.input")
PLAIN_OUTPUT = ("output.value", "langfuse.observation.output", "lmnr.span.output", "traceloop.entity.output")
# What is the name of the tool only where the span is one of a tool.
TOOL_ENTITY = ("traceloop.entity.name",)
# Where these say what kind of span it is, and nothing names the tool, the span has the tool's name.
NAMED_AS_TOOL = ("langfuse.observation.type", "lmnr.span.type")
# What some instrumentations of OpenInference write the arguments into, and others (OpenAI Agents) the schema.
TOOL_PARAMETERS = ("tool.parameters",)
# What a tool said as content blocks, of which the texts count (the anthropic SDK's own spans).
RESULT_BLOCKS = "anthropic.tool_result.content"
# What a tool said as a message of LangChain: the attribute, the members on the way to the message's content,
# and the member beside it by which one knows that it is such a message (OpenInference).
RESULT_MESSAGE = ("output.value", ("data", "content"), ("data", "tool_call_id"))
# What says that a span failed where no error type stands.
ERROR_LEVEL, ERROR = "langfuse.observation.level", "ERROR"


@dataclass(frozen=True, slots=True)
class Indexed:
    """Messages flattened into keys with numbers: `{start}{i}{inner}.role`, `.content`, and so on.

    `contents` and `calls` are lists below a message: where their numbers stand, and what follows them.
    """

    start: str
    inner: str
    contents: tuple[str, str]
    calls: tuple[str, str]
    call_name: str
    call_arguments: str


def _openinference(start: str) -> Indexed:
    return Indexed(
        start,
        ".message",
        (".contents.", ".message_content.text"),
        (".tool_calls.", ".tool_call"),
        ".function.name",
        ".function.arguments",
    )


def _openllmetry(start: str) -> Indexed:
    return Indexed(start, "", (".contents.", ".text"), (".tool_calls.", ""), ".name", ".arguments")


INDEXED: dict[str, tuple[Indexed, ...]] = {
    "input": (_openinference("llm.input_messages."), _openllmetry("gen_ai.prompt.")),
    "output": (_openinference("llm.output_messages."), _openllmetry("gen_ai.completion.")),
}
