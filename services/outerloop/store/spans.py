"""Table otel_traces: one row a span. Writer: ingest."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.trace.model import Event, Span, Trace

# Column -> field, where the one is simply the other.
_PLAIN = {
    "TraceId": "trace_id",
    "SpanId": "span_id",
    "ParentSpanId": "parent_span_id",
    "TraceState": "trace_state",
    "SpanName": "name",
    "SpanKind": "kind",
    "ServiceName": "service",
    "ResourceAttributes": "resource",
    "ScopeName": "scope_name",
    "ScopeVersion": "scope_version",
    "SpanAttributes": "attributes",
    "StatusCode": "status",
    "StatusMessage": "status_message",
    "AgentName": "agent",
    "AgentVersion": "agent_version",
    "SessionId": "session_id",
    "Operation": "operation",
    "Provider": "provider",
    "Model": "model",
    "ToolName": "tool",
    "ToolArguments": "arguments",
    "ToolResult": "result",
    "Input": "input",
    "Output": "output",
    "InputTokens": "input_tokens",
    "OutputTokens": "output_tokens",
    "ErrorType": "error_type",
}
_SELECT = f"""
SELECT {", ".join(_PLAIN)}, toUnixTimestamp64Nano(Timestamp) AS start_ns, Duration,
       arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`) AS event_times,
       `Events.Name` AS event_names, `Events.Attributes` AS event_attributes
FROM otel_traces FINAL
"""  # noqa: S608 - column names of ours only


async def insert(db: ClickHouse, spans: Sequence[Span], stored_at: datetime) -> None:
    """Store spans; a span that is there already is replaced by itself."""
    await db.insert("otel_traces", [_row(span, stored_at) for span in spans])


async def traces(db: ClickHouse, trace_ids: Sequence[str]) -> dict[str, Trace]:
    """The stored traces of these ids; an id of which nothing is stored is left out."""
    rows = await db.query(_SELECT + "WHERE TraceId IN {ids:Array(String)}", ids=list(trace_ids))
    spans: dict[str, list[Span]] = {}
    for row in rows:
        spans.setdefault(row["TraceId"], []).append(_span(row))
    return {trace_id: Trace.of(of_trace) for trace_id, of_trace in spans.items()}


def _row(span: Span, stored_at: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {column: getattr(span, field) for column, field in _PLAIN.items()}
    # As integers: Python's datetime holds microseconds, and a span's time has nanoseconds.
    row["Timestamp"] = span.start_ns
    row["Duration"] = max(0, span.end_ns - span.start_ns)
    row["Events.Timestamp"] = [event.time_ns for event in span.events]
    row["Events.Name"] = [event.name for event in span.events]
    row["Events.Attributes"] = [event.attributes for event in span.events]
    row["StoredAt"] = stored_at
    return row


def _span(row: Mapping[str, Any]) -> Span:
    events = zip(row["event_times"], row["event_names"], row["event_attributes"], strict=True)
    return Span(
        **{field: row[column] for column, field in _PLAIN.items()},
        start_ns=row["start_ns"],
        end_ns=row["start_ns"] + row["Duration"],
        events=tuple(Event(time, name, attributes) for time, name, attributes in events),
    )
