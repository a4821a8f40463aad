"""The shape of a request: fields, types and patterns.

The real API checks shapes with pydantic too, so its messages come out the same here: the path, with a
block's type in it (`messages.1.content.0.tool_use.id`), then pydantic's sentence. What the API has and
these models lack (server tools, documents, containers) is refused: stricter, never laxer.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
ToolUseId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]


class Shape(BaseModel):
    """Nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CacheControl(Shape):
    """A prompt cache breakpoint."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Cacheable(Shape):
    """What may carry a breakpoint."""

    cache_control: CacheControl | None = None


class Text(Cacheable):
    """Text."""

    type: Literal["text"]
    text: str
    citations: None = None  # only server-side documents make citations


class Base64Source(Shape):
    """An image in the request."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Field(min_length=1)]


class UrlSource(Shape):
    """An image elsewhere."""

    type: Literal["url"]
    url: str


class Image(Cacheable):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


class ToolUse(Cacheable):
    """A call the model made."""

    type: Literal["tool_use"]
    id: ToolUseId
    name: Name
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


def _as_blocks(content: Any) -> Any:
    """A string is shorthand for one text block; an empty string for no content."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


class ToolResult(Cacheable):
    """What the call gave; its content always as blocks."""

    type: Literal["tool_result"]
    tool_use_id: ToolUseId
    content: Annotated[
        list[Annotated[Text | Image, Field(discriminator="type")]], BeforeValidator(_as_blocks)
    ] = Field(default_factory=list)
    is_error: bool = False


class Thinking(Shape):
    """Reasoning handed back."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinking(Shape):
    """Reasoning handed back, encrypted."""

    type: Literal["redacted_thinking"]
    data: str


Block = Annotated[
    Text | Image | ToolUse | ToolResult | Thinking | RedactedThinking, Field(discriminator="type")
]


class Message(Shape):
    """One message; its content always as blocks."""

    role: Literal["user", "assistant"]
    content: Annotated[list[Block], BeforeValidator(_as_blocks)]


class InputSchema(BaseModel):
    """The JSON schema of a tool's input, as far as the API looks into it."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["object"]
    properties: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")], Any] | None = None
    required: list[str] | None = None


class Tool(Cacheable):
    """A client tool."""

    type: Literal["custom"] | None = None
    name: Name
    description: str | None = None
    input_schema: InputSchema
    strict: bool | None = None
    eager_input_streaming: bool | None = None


class ToolChoice(Shape):
    """Which tools the model may or must use."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class ThinkingConfig(Shape):
    """Whether and how much to reason."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputConfig(Shape):
    """How much effort to spend."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class Metadata(Shape):
    """Who asks."""

    user_id: Annotated[str, Field(max_length=256)] | None = None


class CountRequest(Cacheable):
    """The body of POST /v1/messages/count_tokens."""

    model: Annotated[str, Field(min_length=1)]
    messages: list[Message]
    system: Annotated[list[Text], BeforeValidator(_as_blocks)] = Field(default_factory=list)
    tools: list[Tool] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(CountRequest):
    """The body of POST /v1/messages."""

    max_tokens: int
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] = "auto"
    stop_sequences: list[str] = Field(default_factory=list)
    stream: bool = False


class SampledMessagesRequest(MessagesRequest):
    """The same before API version 2026-10-21, which removed the sampling parameters."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


def first_error(error: ValidationError) -> str:
    """The sentence the API would say: it names the first thing that is wrong."""
    detail = error.errors(include_url=False, include_context=False)[0]
    path = [str(part) for part in detail["loc"] if part != "[key]"]
    if len(path) > 2 and path[0] == "tools":  # noqa: PLR2004 - tools.N.field
        path.insert(2, "custom")  # the API's tools are a union, tagged with what `type` leaves out
    return f"{'.'.join(path)}: {detail['msg']}"
