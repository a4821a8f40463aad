"""What the parameters of a request must hold beyond their shape: limits, thinking, tools, cache.

Each rule raises ApiError with the sentence of the real API, as far as it is known.
"""

from collections.abc import Iterator

from outerloop.dev.messages_api.catalogue import Model
from outerloop.dev.messages_api.errors import invalid
from outerloop.dev.messages_api.shapes import (
    Cacheable,
    CountRequest,
    MessagesRequest,
    SampledMessagesRequest,
    ToolChoice,
    ToolResult,
)

_MAX_BREAKPOINTS = 4


def check_limits(request: MessagesRequest, model: Model) -> None:
    """max_tokens, the stop sequences, and the sampling parameters, which newer models do not take."""
    if request.max_tokens < 1:
        raise invalid("max_tokens: must be greater than or equal to 1")
    if request.max_tokens > model.max_output:
        raise invalid(
            f"max_tokens: {request.max_tokens} > {model.max_output}, which is the maximum allowed number of "
            f"output tokens for {model.id}"
        )
    if isinstance(request, SampledMessagesRequest):
        _check_sampling(request, model)
    if any(not sequence.strip() for sequence in request.stop_sequences):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


def _check_sampling(request: SampledMessagesRequest, model: Model) -> None:
    for name, top in (("temperature", 1), ("top_p", 1), ("top_k", None)):
        value = getattr(request, name)
        if value is None:
            continue
        if value < 0 or (top is not None and value > top):
            raise invalid(f"{name}: range: 0..{'' if top is None else top}")
        if not model.sampling:
            raise invalid(f"`{name}` is deprecated for this model.")
    if request.temperature is not None and request.top_p is not None:
        raise invalid(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )


def check_thinking(request: CountRequest, model: Model) -> None:
    """The thinking budget, and that thinking leaves the model free to choose."""
    thinking = request.thinking
    if thinking is None or thinking.type == "disabled":
        return
    if thinking.type == "enabled":
        if not model.sampling:
            raise invalid(
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        if thinking.budget_tokens is None:
            raise invalid("thinking.enabled.budget_tokens: Field required")
        if isinstance(request, MessagesRequest) and request.max_tokens <= thinking.budget_tokens:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if request.tool_choice is not None and request.tool_choice.type in {"any", "tool"}:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def check_tools(request: CountRequest) -> None:
    """Tool names, schemas, and that tool_choice and the conversation speak of tools that are there."""
    names = [tool.name for tool in request.tools]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    for index, tool in enumerate(request.tools):
        if {"oneOf", "allOf", "anyOf"} & set(tool.input_schema.model_extra or {}):
            raise invalid(
                f"tools.{index}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at "
                "the top level"
            )
    uses_tools = any(
        block.type in {"tool_use", "tool_result"} for message in request.messages for block in message.content
    )
    if uses_tools and not names:
        raise invalid("Requests which include `tool_use` or `tool_result` blocks must define tools.")
    if request.tool_choice is not None:
        _check_tool_choice(request.tool_choice, names)


def _check_tool_choice(choice: ToolChoice, names: list[str]) -> None:
    if not names:
        raise invalid("tool_choice may only be specified while providing tools.")
    if choice.type == "tool" and choice.name is None:
        raise invalid("tool_choice.tool.name: Field required")
    if choice.type != "tool" and choice.name is not None:
        raise invalid(f"tool_choice.{choice.type}.name: Extra inputs are not permitted")
    if choice.name is not None and choice.name not in names:
        raise invalid(f"Tool '{choice.name}' not found in provided tools")


def check_cache(request: CountRequest) -> None:
    """At most four cache breakpoints, wherever they are, and none that lives longer than one before it."""
    ttls = [part.cache_control.ttl for part in _cacheable(request) if part.cache_control is not None]
    found = len(ttls)
    if found > _MAX_BREAKPOINTS:
        raise invalid(
            f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {found}."
        )
    if "1h" in ttls[ttls.index("5m") if "5m" in ttls else found :]:
        raise invalid(
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
            "blocks are processed in the following order: `tools`, `system`, `messages`."
        )


def _cacheable(request: CountRequest) -> Iterator[Cacheable]:
    yield from request.tools
    yield from request.system
    for message in request.messages:
        for block in message.content:
            if isinstance(block, Cacheable):
                yield block
            if isinstance(block, ToolResult):
                yield from block.content
    yield request  # a mark on the request itself is one on its last block
