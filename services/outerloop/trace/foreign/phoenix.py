"""Phoenix's exports: spans as its client's data frames have them (a column a name) or its API (objects)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outerloop.trace.foreign.made import Attributes, Made, Row, flat, identity, nanoseconds, pairs, text
from outerloop.trace.otlp import SPAN_ID_BYTES, TRACE_ID_BYTES

_ATTRIBUTES = "attributes."
_READ = {
    "name",
    "span_kind",
    "parent_id",
    "start_time",
    "end_time",
    "status_code",
    "status_message",
    "events",
} | {
    *("context.trace_id", "context.span_id", "trace_id", "span_id", "id", "context", "attributes"),
}
_SPARED = {
    "cumulative_error_count",
    "cumulative_llm_token_count_prompt",
    "latency_ms",
    "__index_level_0__",
} | {"cumulative_llm_token_count_completion"}
_CODES = {"OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR}
# OpenInference has these as one JSON text.
_JSON = {"metadata", "llm.invocation_parameters", "tool.parameters", "tool.json_schema"}


def read(row: Row) -> Made:
    """What a row becomes.

    Raises:
        ValueError: saying what it lacks.
    """
    began = nanoseconds(row.get("start_time"), "start_time")
    ended = row.get("end_time")
    said = dict(_attributes(row))
    if row.get("span_kind"):
        said.setdefault("openinference.span.kind", row["span_kind"])
    span = Span(
        trace_id=identity(_of(row, "trace_id"), TRACE_ID_BYTES, "context.trace_id"),
        span_id=identity(_of(row, "span_id"), SPAN_ID_BYTES, "context.span_id"),
        name=text(row.get("name") or ""),
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=began,
        end_time_unix_nano=max(began, nanoseconds(ended, "end_time")) if _says(ended) else began,
        attributes=pairs(said),
        events=list(_events(row)),
    )
    if _says(parent := row.get("parent_id")):
        span.parent_span_id = identity(parent, SPAN_ID_BYTES, "parent_id")
    if code := _CODES.get(str(row.get("status_code", "")).upper()):
        message = row.get("status_message")
        span.status.CopyFrom(Status(code=code, message=text(message) if _says(message) else ""))
    known = _READ | _SPARED
    unmapped = (name for name, value in row.items() if name not in known and _says(value))
    return Made([span], unmapped=Counter(name for name in unmapped if not name.startswith(_ATTRIBUTES)))


def _of(row: Row, name: str) -> Any:
    context = row.get("context")
    inner = context.get(name) if isinstance(context, Mapping) else None
    return inner or row.get(f"context.{name}") or row.get(name)


def _attributes(row: Row) -> Iterator[tuple[str, Any]]:
    nested = row.get("attributes")
    columns = {n.removeprefix(_ATTRIBUTES): v for n, v in row.items() if n.startswith(_ATTRIBUTES)}
    for name, value in {**(nested if isinstance(nested, Mapping) else {}), **columns}.items():
        yield from _attribute(name, value)


def _attribute(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name in _JSON and _says(value):
        yield name, text(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _attribute(f"{name}.{key}", inner)
    else:
        yield from flat(name, value)


def _events(row: Row) -> Iterator[Span.Event]:
    events = row.get("events")
    for event in events if isinstance(events, list) else ():
        if not isinstance(event, Mapping):
            raise TypeError(f"an event is none: {str(event)[:80]}")
        said: Attributes = dict(flat("", event.get("attributes") or {}))
        yield Span.Event(
            name=text(event.get("name") or ""),
            time_unix_nano=nanoseconds(event.get("timestamp"), "timestamp of an event"),
            attributes=pairs(said),
        )


def _says(value: Any) -> bool:
    return value is not None and value == value and value not in ("", [], {})  # noqa: PLR0124 - NaN is not itself
