"""A stored trace as the OTLP that it came as. Reads otel_traces, writes nothing.

Every span comes back with all that OTLP says of it, in the order of its attributes, below its resource and
its scope. What is not kept is what says nothing: how spans were spread over exports, whether an empty message
was there or not, and fields that OTLP does not know. Spans that were stored before there were columns for all
of that have texts only.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.trace.otlp import KINDS, STATUSES

_KINDS = {name: number for number, name in KINDS.items()}
_STATUSES = {name: number for number, name in STATUSES.items()}

# Letter of store.landing -> how the value is read from its text; `r` has its bytes, `-` is nothing.
_READERS: dict[str, Callable[[str], AnyValue]] = {
    "s": lambda text: AnyValue(string_value=text),
    "b": lambda text: AnyValue(bool_value=text == "true"),
    "i": lambda text: AnyValue(int_value=int(text)),
    "d": lambda text: AnyValue(double_value=float(text)),
    "a": lambda text: AnyValue(
        array_value=ArrayValue(values=[AnyValue(string_value=item) for item in json.loads(text)])
    ),
    "y": lambda text: AnyValue(bytes_value=base64.b64decode(text)),
}


def _pairs(column: str, *, nested: bool = False) -> str:
    # As two arrays: a map comes as a dict, which holds a name once.
    read = "arrayMap(m -> {}(m), `{}`)" if nested else "{}(`{}`)"
    names, texts = read.format("mapKeys", column), read.format("mapValues", column)
    return f"{names} AS `{column} names`, {texts} AS `{column} texts`"


_SELECT = f"""
SELECT SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ScopeName, ScopeVersion, Duration, EndsBefore,
       StatusCode, StatusMessage, Flags, Dropped, ResourceSchemaUrl, ScopeSchemaUrl, Shape,
       arrayMap(b -> base64Encode(b), EntityRefs) AS entity_refs,
       arrayMap(b -> base64Encode(b), Structured) AS structured,
       toUnixTimestamp64Nano(Timestamp) AS starts,
       arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`) AS event_times, `Events.Name`,
       `Events.Dropped`, `Links.TraceId`, `Links.SpanId`, `Links.TraceState`, `Links.Dropped`, `Links.Flags`,
       {_pairs("SpanAttributes")}, {_pairs("ResourceAttributes")}, {_pairs("ScopeAttributes")},
       {_pairs("Events.Attributes", nested=True)}, {_pairs("Links.Attributes", nested=True)}
FROM otel_traces FINAL WHERE TraceId = {{id:String}} ORDER BY Timestamp, SpanId
"""  # noqa: S608 - column names of ours only


async def original(db: ClickHouse, trace_id: str) -> ExportTraceServiceRequest:
    """All that is stored of a trace; without a span when nothing is."""
    export = ExportTraceServiceRequest()
    groups: dict[tuple[bytes, str], ResourceSpans] = {}
    scopes: dict[tuple[bytes, str, bytes, str], ScopeSpans] = {}
    for row in await db.query(_SELECT, id=trace_id):
        resource, scope, span = _read(row, trace_id)
        group = (resource.SerializeToString(), row["ResourceSchemaUrl"])
        if group not in groups:
            groups[group] = export.resource_spans.add(resource=resource, schema_url=row["ResourceSchemaUrl"])
        place = (*group, scope.SerializeToString(), row["ScopeSchemaUrl"])
        if place not in scopes:
            scopes[place] = groups[group].scope_spans.add(scope=scope, schema_url=row["ScopeSchemaUrl"])
        scopes[place].spans.append(span)
    return export


def _read(row: Mapping[str, Any], trace_id: str) -> tuple[Resource, InstrumentationScope, Span]:
    """The span and what is above it. The order of reading is that of Structured."""
    of_span, of_resource, of_scope, of_events, of_links, zeros = (row["Shape"] or ";;;;;").split(";")
    dropped = row["Dropped"] or [0] * 5
    raws = map(base64.b64decode, row["structured"])
    attributes = _attributes(row, "SpanAttributes", of_span, raws)
    resource = Resource(
        attributes=_attributes(row, "ResourceAttributes", of_resource, raws),
        dropped_attributes_count=dropped[3],
        entity_refs=[EntityRef.FromString(base64.b64decode(ref)) for ref in row["entity_refs"]],
    )
    scope = InstrumentationScope(
        name=row["ScopeName"],
        version=row["ScopeVersion"],
        attributes=_attributes(row, "ScopeAttributes", of_scope, raws),
        dropped_attributes_count=dropped[4],
    )
    span = Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(row["SpanId"]),
        parent_span_id=bytes(int(zeros or 0)) or bytes.fromhex(row["ParentSpanId"]),
        trace_state=row["TraceState"],
        name=row["SpanName"],
        kind=_number(row["SpanKind"], _KINDS),  # type: ignore[arg-type]  # an enum is open
        start_time_unix_nano=row["starts"],
        end_time_unix_nano=row["starts"] + row["Duration"] - row["EndsBefore"],
        attributes=attributes,
        dropped_attributes_count=dropped[0],
        dropped_events_count=dropped[1],
        dropped_links_count=dropped[2],
        flags=row["Flags"],
    )
    _add_events(span, row, of_events.split("/"), raws)
    _add_links(span, row, of_links.split("/"), raws)
    span.status.message = row["StatusMessage"]
    span.status.code = _number(row["StatusCode"], _STATUSES)  # type: ignore[assignment]
    return resource, scope, span


def _add_events(span: Span, row: Mapping[str, Any], shapes: Sequence[str], raws: Iterator[bytes]) -> None:
    for place, name in enumerate(row["Events.Name"]):
        span.events.add(
            name=name,
            time_unix_nano=row["event_times"][place],
            attributes=_attributes(row, "Events.Attributes", _at(shapes, place), raws, place),
            dropped_attributes_count=row["Events.Dropped"][place],
        )


def _add_links(span: Span, row: Mapping[str, Any], shapes: Sequence[str], raws: Iterator[bytes]) -> None:
    for place, trace_id in enumerate(row["Links.TraceId"]):
        span.links.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(row["Links.SpanId"][place]),
            trace_state=row["Links.TraceState"][place],
            attributes=_attributes(row, "Links.Attributes", _at(shapes, place), raws, place),
            dropped_attributes_count=row["Links.Dropped"][place],
            flags=row["Links.Flags"][place],
        )


def _attributes(
    row: Mapping[str, Any], column: str, letters: str, raws: Iterator[bytes], place: int | None = None
) -> list[KeyValue]:
    names, texts = row[f"{column} names"], row[f"{column} texts"]
    if place is not None:
        names, texts = names[place], texts[place]
    letters = letters or "s" * len(names)
    return [
        KeyValue(key=name, value=_value(letter, text, raws))
        for name, text, letter in zip(names, texts, letters, strict=True)
    ]


def _value(letter: str, text: str, raws: Iterator[bytes]) -> AnyValue:
    if letter == "r":
        return AnyValue.FromString(next(raws))
    read = _READERS.get(letter)
    return read(text) if read else AnyValue()


def _at(shapes: Sequence[str], place: int) -> str:
    return shapes[place] if place < len(shapes) else ""


def _number(name: str, known: Mapping[str, int]) -> int:
    return known[name] if name in known else int(name or 0)
