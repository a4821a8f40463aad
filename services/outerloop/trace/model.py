"""Span and Trace: the one shape in which production and trials are looked at.

A trace is the same thing whether it was read from ClickHouse, decoded from Kafka or collected from a
trial's sandbox, so signals and expectations are written once, over these classes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from outerloop.trace.messages import asked_for, messages_of, object_of, text_of


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
            ToolCall(s.tool, self._arguments_of(s), s.result, s.failed, s.span_id)
            for s in self.spans
            if s.operation == "execute_tool"
        )

    def _arguments_of(self, call: Span) -> dict[str, Any]:
        text = call.arguments
        bare = text and not text.lstrip().startswith("{")
        return self._asked_with_one_text.get((call.tool, text), {}) if bare else object_of(text)

    @cached_property
    def _asked_with_one_text(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By tool and text: the arguments of calls that the model asked for with one text.

        OpenInference gives of a LangGraph's tool the text alone. Where the model gave the same text under two
        names, nobody knows under which the tool was called.
        """
        asked: dict[tuple[str, str], dict[str, Any]] = {}
        for tool, arguments in (each for call in self.model_calls for each in asked_for(call.output)):
            for value in arguments.values():
                if len(arguments) == 1 and isinstance(value, str):
                    known = asked.setdefault((tool, value), arguments)
                    asked[tool, value] = arguments if known == arguments else {}
        return asked

    @cached_property
    def model_calls(self) -> tuple[Span, ...]:
        """Spans of calls to a model, in order of start."""
        return tuple(s for s in self.spans if s.operation in {"chat", "text_completion", "generate_content"})

    @cached_property
    def counted_calls(self) -> tuple[Span, ...]:
        """The calls to a model that are counted: those with no other one below them.

        A framework's span around the one of the SDK is no second call, and tells of the same tokens again.
        One below that tells of no tokens, where the one around it does, counts for nothing; beside it, it is
        a call as any: it failed, or was streamed.
        """
        told = {s.span_id for s in self.model_calls if s.input_tokens or s.output_tokens}
        kept = {s.span_id for s in self.model_calls} - self._around(told) - (self._below(told) - told)
        around = self._around(told | kept)
        return tuple(s for s in self.model_calls if s.span_id in kept - around)

    def _around(self, span_ids: Collection[str]) -> set[str]:
        parents = {span.span_id: span.parent_span_id for span in self.spans}
        around = set[str]()
        for span_id in span_ids:
            above = parents[span_id]
            while above in parents and above not in around:  # hostile spans may go round in circles
                around.add(above)
                above = parents[above]
        return around

    def _below(self, span_ids: Collection[str]) -> set[str]:
        children: dict[str, list[str]] = {}
        for span in self.spans:
            children.setdefault(span.parent_span_id, []).append(span.span_id)
        below, waiting = set[str](), list(span_ids)
        while waiting:
            new = [each for each in children.get(waiting.pop(), ()) if each not in below]
            below.update(new)
            waiting += new
        return below

    @cached_property
    def input_messages(self) -> list[Any]:
        """The request as GenAI messages: the root's, else those of the first model call; [] if none."""
        sources = [self.root.input, *(s.input for s in self.model_calls[:1])]
        # OpenInference's LangChain gives the root a message with a role and nothing in it.
        told = (messages_of(source, "user") for source in sources)
        return next((ms for ms in told if any(m.get("parts") or m.get("content") for m in ms)), [])

    @cached_property
    def request(self) -> str:
        """The text of the first user message, "" when the trace does not say."""
        return next((text_of(m) for m in self.input_messages if m.get("role") == "user"), "")

    @cached_property
    def answer(self) -> str:
        """The text that the agent ended with: the root's output, else the last model call's."""
        sources = [self.root.output, *(s.output for s in self.model_calls[-1:])]
        texts = ("\n".join(filter(None, map(text_of, messages_of(s, "assistant")))) for s in sources)
        return next((t for t in texts if t), "")
