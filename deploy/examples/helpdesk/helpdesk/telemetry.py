"""Spans by OpenTelemetry's GenAI conventions: invoke_agent, chat and execute_tool; one request is one trace.

Content (messages, arguments, results) is recorded as JSON strings. Spans go to OTEL_EXPORTER_OTLP_ENDPOINT
over http/protobuf; with no endpoint set none are sent, but ids are still given.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from helpdesk.export import Exporter

AGENT = "helpdesk"
EXPORT_DELAY_MILLIS = 500


def provider(collector: str, seconds: float) -> TracerProvider:
    """The process's provider; the caller shuts it down, which flushes.

    Spans go to `collector`, if any, which has `seconds` to take them.
    """
    # OTEL_RESOURCE_ATTRIBUTES is merged in by the SDK: service.version comes from there.
    made = TracerProvider(resource=Resource.create({"service.name": AGENT}))
    if collector:
        exporter = Exporter(f"{collector.rstrip('/')}/v1/traces", seconds)
        made.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_DELAY_MILLIS))
    return made


@contextmanager
def agent_span(tracer: Tracer, conversation: str | None, messages: str) -> Iterator[Span]:
    """The root of one request; without a conversation id the trace is the conversation."""
    attributes = {"gen_ai.agent.name": AGENT, "gen_ai.input.messages": messages}
    with _span(tracer, "invoke_agent", AGENT, attributes) as span:
        span.set_attribute("gen_ai.conversation.id", conversation or trace_id(span))
        yield span


@contextmanager
def chat_span(tracer: Tracer, model: str, messages: str) -> Iterator[Span]:
    """One call of the model."""
    attributes = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": model,
        "gen_ai.input.messages": messages,
    }
    with _span(tracer, "chat", model, attributes, SpanKind.CLIENT) as span:
        yield span


@contextmanager
def tool_span(tracer: Tracer, name: str, call_id: str, arguments: str) -> Iterator[Span]:
    """One execution of a tool."""
    attributes = {
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call_id,
        "gen_ai.tool.call.arguments": arguments,
    }
    with _span(tracer, "execute_tool", name, attributes) as span:
        yield span


def fail(span: Span, error_type: str, description: str) -> None:
    """Marks `span` as failed."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, description))


def trace_id(span: Span) -> str:
    """The trace's id as 32 hex digits."""
    return f"{span.get_span_context().trace_id:032x}"


def span_id(span: Span) -> str:
    """The span's id as 16 hex digits."""
    return f"{span.get_span_context().span_id:016x}"


@contextmanager
def _span(
    tracer: Tracer,
    operation: str,
    subject: str,
    attributes: Mapping[str, str],
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """A span that an exception marks with its type's name."""
    given = {"gen_ai.operation.name": operation, **attributes}
    with tracer.start_as_current_span(
        f"{operation} {subject}", kind=kind, attributes=given, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            fail(span, type(error).__name__, str(error))
            raise
