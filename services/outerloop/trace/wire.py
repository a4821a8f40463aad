"""OTLP on its way into ClickHouse, which parses it itself: looked through, and passed on byte for byte.

What ClickHouse could not take is found here without a look at single attributes. `_lean` is OTLP's own
schema in a form in which whatever needs Python lacks a required field, so that upb, which parses 2 million
spans a second, tells in one call whether there is any. Only then is a request rewritten: invalid spans are
left out, and a structured value becomes its JSON text beside its own bytes (fields 15 and 16 of
store/landing.proto).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from outerloop.trace.otlp import (
    MOST_NS,
    SPAN_ID_BYTES,
    TRACE_ID_BYTES,
    InvalidError,
    Refusal,
    check_span,
    decode_traces,
    is_json,
)
from outerloop.trace.text import text_of_value

JSON_FIELD, RAW_FIELD = 15, 16  # of AnyValue in store/landing.proto
_NO_TRACE, _NO_SPAN = bytes(TRACE_ID_BYTES), bytes(SPAN_ID_BYTES)
_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {"string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES, "fixed64": _FIELD.TYPE_FIXED64}
# Strings are here so that text which is no UTF-8 is refused, the rest because it is looked at.
_LEAN = """
Never never=1000!bytes
Text string_value=1!string
Texts values=1*Text
Value string_value=1:string array_value=5:Texts kvlist_value=6:Never json=15:Never raw=16:Never
Pair key=1:string value=2:Value
Resource attributes=1*Pair
Scope name=1:string version=2:string attributes=3*Pair
Event time_unix_nano=1:fixed64 name=2:string attributes=3*Pair
Link trace_state=3:string attributes=4*Pair
Status message=2:string
Span trace_id=1:bytes span_id=2:bytes trace_state=3:string parent_span_id=4:bytes name=5:string
 start_time_unix_nano=7:fixed64 attributes=9*Pair events=11*Event links=13*Link status=15:Status
ScopeSpans scope=1:Scope spans=2*Span schema_url=3:string
ResourceSpans resource=1:Resource scope_spans=2*ScopeSpans schema_url=3:string
Export resource_spans=1*ResourceSpans
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """One record that ClickHouse can take.

    Attributes:
        payload: an ExportTraceServiceRequest; empty when no span is left.
        seen: the trace ids of the spans that are left, and whether a root is among them.
        span_ids: those of the same spans, one after the other.
        refused: why the others are left out.
        left_out: an ExportTraceServiceRequest of those others.
        as_sent: `payload` is what came, in whatever of protobuf's ways its sender has written it.
    """

    payload: bytes
    seen: dict[bytes, bool]
    span_ids: bytes
    refused: list[Refusal] = field(default_factory=list[Refusal])
    left_out: bytes = b""
    as_sent: bool = False

    @property
    def spans(self) -> int:
        """How many are left."""
        return len(self.span_ids) // SPAN_ID_BYTES


def check_traces(payload: bytes) -> Checked:
    """Look through one record, protobuf or JSON.

    Raises:
        PoisonError: when it is no OTLP.
    """
    if is_json(payload):
        return _rewritten(decode_traces(payload))
    try:
        export: Any = _lean().FromString(payload)
    except DecodeError:
        return _rewritten(decode_traces(payload))  # it says what is wrong, if anything is
    spans = [s for group in export.resource_spans for scoped in group.scope_spans for s in scoped.spans]
    if not export.IsInitialized() or not _all_valid(spans):
        return _rewritten(decode_traces(payload))
    return Checked(payload if spans else b"", *_seen(spans), as_sent=True)


def written_anew(checked: Checked) -> bytes:
    """The payload, written as protobuf itself writes it.

    Much else is valid: two values of a oneof, a bool of 7, numbers too large for their type, groups.
    ClickHouse refuses it, and all that is inserted beside it. It is too rare to be looked for every time.
    """
    return _rewritten(decode_traces(checked.payload)).payload if checked.as_sent else checked.payload


def delimited(payloads: Iterable[bytes]) -> bytes:
    """Messages in one piece, each after its length as a varint; see otlp.split_delimited."""
    return b"".join(part for payload in payloads for part in (_varint(len(payload)), payload))


def _all_valid(spans: Sequence[Any]) -> bool:
    """Whether each can be stored. Asked of all at once: span by span it would take three times as long."""
    trace_ids, span_ids = {s.trace_id for s in spans}, [s.span_id for s in spans]
    times = [s.start_time_unix_nano for s in spans]
    times += [event.time_unix_nano for s in spans if s.events for event in s.events]
    return (
        {*map(len, trace_ids)} <= {TRACE_ID_BYTES}
        and {*map(len, span_ids)} <= {SPAN_ID_BYTES}
        and _NO_TRACE not in trace_ids
        and _NO_SPAN not in span_ids
        and max(times, default=0) <= MOST_NS
    )


def _seen(spans: Sequence[Any]) -> tuple[dict[bytes, bool], bytes]:
    trace_ids, parents = [s.trace_id for s in spans], [s.parent_span_id for s in spans]
    seen = dict.fromkeys(trace_ids, False)
    seen |= {id_: True for id_, parent in zip(trace_ids, parents, strict=True) if not parent.strip(b"\0")}
    return seen, b"".join([s.span_id for s in spans])


def _rewritten(export: ExportTraceServiceRequest) -> Checked:
    export.DiscardUnknownFields()  # whoever sends our own two fields says nothing by it
    refused, left_out = _leave_out_invalid(export)
    for pairs in _attributes(export):
        for pair in pairs:
            _simplify(pair.value)
    spans = [s for group in export.resource_spans for scoped in group.scope_spans for s in scoped.spans]
    return Checked(export.SerializeToString() if spans else b"", *_seen(spans), refused, left_out)


def _leave_out_invalid(export: ExportTraceServiceRequest) -> tuple[list[Refusal], bytes]:
    refused: list[Refusal] = []
    left_out = ExportTraceServiceRequest()
    for group in export.resource_spans:
        for scoped in group.scope_spans:
            wrong = {place: why for place, span in enumerate(scoped.spans) if (why := _refusal(span))}
            if not wrong:
                continue
            refused += wrong.values()
            apart = left_out.resource_spans.add(resource=group.resource, schema_url=group.schema_url)
            spans = [scoped.spans[place] for place in wrong]
            apart.scope_spans.add(scope=scoped.scope, schema_url=scoped.schema_url, spans=spans)
            for place in reversed(wrong):
                del scoped.spans[place]
    return refused, left_out.SerializeToString()


def _refusal(span: Span) -> Refusal | None:
    try:
        check_span(span)
    except InvalidError as error:
        return error.refusal
    return None


def _attributes(export: ExportTraceServiceRequest) -> Iterator[Iterable[KeyValue]]:
    group: ResourceSpans
    scoped: ScopeSpans
    span: Span
    for group in export.resource_spans:
        yield group.resource.attributes
        for scoped in group.scope_spans:
            yield scoped.scope.attributes
            for span in scoped.spans:
                yield span.attributes
                yield from (event.attributes for event in span.events)
                yield from (link.attributes for link in span.links)


def _simplify(value: AnyValue) -> None:
    """Give a structured value as text and bytes, which come back as fields that OTLP does not know."""
    arm = value.WhichOneof("value")
    if arm == "kvlist_value" or (
        arm == "array_value"
        and any(v.WhichOneof("value") != "string_value" for v in value.array_value.values)
    ):
        text, raw = text_of_value(value).encode("utf-8", "replace"), value.SerializeToString()
        value.ParseFromString(
            b"".join(
                _varint(number << 3 | 2) + _varint(len(data)) + data
                for number, data in ((JSON_FIELD, text), (RAW_FIELD, raw))
            )
        )


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@cache
def _lean() -> type[Message]:
    """The class of Export. Fields are `name=number` and `:`, `*` (repeated) or `!` (required) and a type."""
    file = descriptor_pb2.FileDescriptorProto(name="lean.proto", package="lean", syntax="editions")
    file.edition = descriptor_pb2.EDITION_2023
    file.options.features.field_presence = descriptor_pb2.FeatureSet.IMPLICIT
    for line in _LEAN.replace("\n ", " ").split("\n"):
        name, *fields = line.split() or [""]
        message = file.message_type.add(name=name) if name else None
        for said in fields if message else ():
            _declare(message, said)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("lean.Export"))


def _declare(message: Any, said: str) -> None:
    name, _, rest = said.partition("=")
    how = next(c for c in rest if c in ":*!")
    number, _, kind = rest.partition(how)
    made = message.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
    if how == "*":
        made.label = _FIELD.LABEL_REPEATED
    if how == "!":
        made.options.features.field_presence = descriptor_pb2.FeatureSet.LEGACY_REQUIRED
    if kind in _TYPES:
        made.type = _TYPES[kind]
    else:
        made.type, made.type_name = _FIELD.TYPE_MESSAGE, f".lean.{kind}"
