"""Span and Trace: the one shape in which production and trials are looked at.

A trace is the same thing whether it was read from ClickHouse, decoded from Kafka or collected from a
trial's sandbox, so signals and expectations are written once, over these classes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# As deep as protobuf allows; deeper JSON is hostile, and would end in a RecursionError further on.
_LEVELS = 100
_LANGCHAIN_ROLES = {"human": "user", "ai": "assistant"}


@dataclass(frozen=True, slots=True)
class Event:
    """A span event; `attributes` as in Span."""

    time_ns: int
    name: str
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One OpenTelemetry span with what the GenAI conventions say of it.

    Ids are lower-case hex (32 and 16 digits; `parent_span_id` is "" at a root); times are Unix
    nanoseconds. Attribute values are strings as they came; any other AnyValue is its JSON.
    What a dialect does not say is "" or 0; `cost` is in US dollars. `arguments`, `result`, `input` and
    `output` are JSON texts.
    """

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str = ""
    kind: str = "Internal"
    start_ns: int = 0
    end_ns: int = 0
    status: str = "Unset"
    status_message: str = ""
    trace_state: str = ""
    service: str = ""
    scope_name: str = ""
    scope_version: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    resource: Mapping[str, str] = field(default_factory=dict[str, str])
    events: tuple[Event, ...] = ()
    agent: str = ""
    agent_version: str = ""
    session_id: str = ""
    operation: str = ""
    provider: str = ""
    model: str = ""
    tool: str = ""
    arguments: str = ""
    result: str = ""
    input: str = ""
    output: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    error_type: str = ""

    @property
    def failed(self) -> bool:
        """Whether the span itself says that it failed."""
        return self.status == "Error" or bool(self.error_type)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One executed tool call; `arguments` is the parsed object, {} when it did not parse to one."""

    name: str
    arguments: Mapping[str, Any]
    result: str
    failed: bool
    span_id: str


@dataclass(frozen=True)
class Trace:
    """All spans known of one trace, by start time (ties by span id)."""

    trace_id: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, spans: "list[Span] | tuple[Span, ...]") -> "Trace":
        """The trace made of `spans`, which share one trace id; a span that came twice counts once."""
        if not spans:
            raise ValueError("a trace has at least one span")
        unique = {span.span_id: span for span in spans}
        ordered = tuple(sorted(unique.values(), key=lambda s: (s.start_ns, s.span_id)))
        return cls(ordered[0].trace_id, ordered)

    @cached_property
    def root(self) -> Span:
        """The span without a parent, else the first one whose parent never came, else the first."""
        known = {span.span_id for span in self.spans}
        orphans = [s for s in self.spans if s.parent_span_id not in known]
        return next((s for s in self.spans if not s.parent_span_id), (orphans or self.spans)[0])

    @cached_property
    def agent(self) -> str:
        """The agent's name: the root's, else the first that any span gives."""
        return self.root.agent or next((s.agent for s in self.spans if s.agent), "")

    @cached_property
    def version(self) -> str:
        """The version of the agent that ran."""
        return self.root.agent_version or next((s.agent_version for s in self.spans if s.agent_version), "")

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Executed tool calls in order of start."""
        return tuple(
            ToolCall(s.tool, object_of(s.arguments), s.result, s.failed, s.span_id)
            for s in self.spans
            if s.operation == "execute_tool"
        )

    @cached_property
    def model_calls(self) -> tuple[Span, ...]:
        """Spans of calls to a model, in order of start."""
        return tuple(s for s in self.spans if s.operation in {"chat", "text_completion", "generate_content"})

    @cached_property
    def counted_calls(self) -> tuple[Span, ...]:
        """The calls to a model that are counted: those with no other one below them.

        A framework's span around the one of the SDK is no second call, and tells of the same tokens again.
        One below that tells of no tokens, where the one around it does, counts for nothing.
        """
        telling = [s for s in self.model_calls if s.input_tokens or s.output_tokens]
        calls = telling or self.model_calls
        parents = {span.span_id: span.parent_span_id for span in self.spans}
        around = set[str]()
        for call in calls:
            above = call.parent_span_id
            while above in parents and above not in around:  # hostile spans may go round in circles
                around.add(above)
                above = parents[above]
        return tuple(call for call in calls if call.span_id not in around)

    @cached_property
    def input_messages(self) -> list[Any]:
        """The request as GenAI messages: the root's, else those of the first model call; [] if none."""
        sources = [self.root.input, *(s.input for s in self.model_calls[:1])]
        # OpenInference's LangChain gives the root a message with a role and nothing in it.
        told = (_messages(source, "user") for source in sources)
        return next((ms for ms in told if any(m.get("parts") or m.get("content") for m in ms)), [])

    @cached_property
    def request(self) -> str:
        """The text of the first user message, "" when the trace does not say."""
        return next((text_of(m) for m in self.input_messages if m.get("role") == "user"), "")

    @cached_property
    def answer(self) -> str:
        """The text that the agent ended with: the root's output, else the last model call's."""
        sources = [self.root.output, *(s.output for s in self.model_calls[-1:])]
        texts = ("\n".join(filter(None, map(text_of, _messages(s, "assistant")))) for s in sources)
        return next((t for t in texts if t), "")


def text_of(message: Mapping[str, Any]) -> str:
    """The text parts of one GenAI message, joined; also of the older {"role", "content"} form."""
    parts = message.get("parts")
    if parts is None:
        return str(message.get("content") or "")
    named = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    return "\n".join(str(p.get("content") or "") for p in named if p.get("type") == "text")


def _messages(text: str, role: str) -> list[Any]:
    # OpenInference and Traceloop give plain text where the GenAI conventions give messages.
    value = _json(text)
    if said := _of_state(value):
        return said if role == "user" else said[-1:]
    if isinstance(value, list):
        return [m for m in value if isinstance(m, dict)]
    if isinstance(value, dict) and ("parts" in value or "content" in value):
        return [value]
    return [{"role": role, "parts": [{"type": "text", "content": text}]}] if text else []


def _of_state(value: Any) -> list[Any]:
    """The messages of a LangGraph's state, the last of which is its answer; [] when it is none."""
    listed = value.get("messages") if isinstance(value, dict) else None
    said = []
    for message in listed if isinstance(listed, list) else ():
        data = message.get("data") if isinstance(message, dict) else None
        if not isinstance(data, dict):
            return []
        role = _LANGCHAIN_ROLES.get(str(message.get("type")), str(message.get("type")))
        content = data.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts = [b.get("text") for b in blocks if isinstance(b, dict) and b.get("type") == "text"]
        parts = [{"type": "text", "content": text} for text in texts if isinstance(text, str) and text]
        said.append({"role": role, "parts": parts})
    return said


def object_of(text: str) -> dict[str, Any]:
    """The object that a JSON text says; {} when it says none that could be written again: it is hostile."""
    value = _json(text)
    return value if isinstance(value, dict) else {}


def _json(text: str) -> Any:
    """The value of a JSON text, None when it is none that could be written again: traces are hostile."""
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not _within(value, _LEVELS):
        return None
    if "\\ud" in text.lower():  # half of a surrogate pair is a str in Python, and not text anywhere else
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _within(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_within(item, levels - 1) for item in items)
