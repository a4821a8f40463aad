"""OTLP as it travels (protobuf and JSON) to Spans and evaluation results.

OTLP's JSON is not protobuf's JSON: ids are hex, and unknown fields are to be ignored
(opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding").
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from outerloop.runtime.errors import PoisonError
from outerloop.trace.model import Event, Span
from outerloop.trace.text import text_of_value
from outerloop.trace.understand import understand

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
# What a signed 64-bit number of nanoseconds can hold, which is what times are stored in: the year 2262.
MOST_NS = 2**63 - 1
STATUSES = {0: "Unset", 1: "Ok", 2: "Error"}
KINDS = {0: "Unspecified", 1: "Internal", 2: "Server", 3: "Client", 4: "Producer", 5: "Consumer"}
_VARINT_BITS = 63
M = TypeVar("M", bound=Message)
# A brace alone does not tell: protobuf begins with a newline (the tag of its first field), and a brace
# follows where that field is 123 bytes long. JSON goes on with the name of a field.
_JSON = re.compile(rb'\s*\{\s*("\w+"\s*:|\})')
_JSON_PARENTS = {"parentSpanId", "parent_span_id"}
_JSON_IDS = {"traceId", "spanId", "trace_id", "span_id", *_JSON_PARENTS}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A span or an evaluation result that is left out. `reason` is one of a few; `what` is for people."""

    reason: str
    what: str


class InvalidError(Exception):
    """Raised where a span or a result is looked at; ends as a Refusal, and costs nothing but that one."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.refusal = Refusal(reason, what)


def is_json(payload: bytes) -> bool:
    """Whether this is the beginning of OTLP JSON, and not of protobuf."""
    return _JSON.match(payload) is not None


def decode_traces(payload: bytes) -> ExportTraceServiceRequest:
    """A trace export request from protobuf or OTLP JSON.

    Raises:
        PoisonError: when it is neither.
    """
    return _decode(payload, ExportTraceServiceRequest())


def decode_logs(payload: bytes) -> ExportLogsServiceRequest:
    """A log export request; as decode_traces."""
    return _decode(payload, ExportLogsServiceRequest())


def spans_of(request: ExportTraceServiceRequest) -> list[Span]:
    """Every valid span of the request, understood."""
    return read_spans(request)[0]


def read_spans(request: ExportTraceServiceRequest) -> tuple[list[Span], list[Refusal]]:
    """Every valid span of the request, understood, and why the others are left out.

    What OTLP calls an invalid span (an id of a wrong length) is, and one that cannot be stored.
    """
    spans: list[Span] = []
    refused: list[Refusal] = []
    for group in request.resource_spans:
        resource = attributes_of(group.resource.attributes)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                try:
                    spans.append(_span(span, resource, scoped.scope.name, scoped.scope.version))
                except InvalidError as error:
                    refused.append(error.refusal)
    return spans, refused


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes as text (see trace.text); of two with one key the first."""
    attributes: dict[str, str] = {}
    for pair in pairs:
        attributes.setdefault(pair.key, text_of_value(pair.value))
    return attributes


def hex_id(value: bytes, length: int, what: str) -> str:
    """An id in hex.

    Raises:
        InvalidError: when it has not `length` bytes or is all zero.
    """
    if len(value) != length or not any(value):
        got = value[:32].hex() or "none"
        raise InvalidError(what, f"{what} must be {length} bytes and not all zero, got {got}")
    return value.hex()


def storable(time_ns: int) -> int:
    """A time as it is.

    Raises:
        InvalidError: when it is too late to be stored.
    """
    if time_ns > MOST_NS:
        raise InvalidError("time", f"a time must be less than 2^63 ns, got {time_ns}")
    return time_ns


def to_json(request: Message) -> str:
    """OTLP JSON, on one line."""
    found = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_ids_to_hex(found), ensure_ascii=False, separators=(",", ":"))


def split_delimited(data: bytes) -> Iterator[bytes]:
    """The messages of a file in which each is preceded by its length as a varint.

    Raises:
        PoisonError: when the file ends in the middle of a message, or a length is none.
    """
    position = 0
    while position < len(data):
        length, shift = 0, 0
        while True:
            if position >= len(data):
                raise PoisonError(f"the file ends inside a length, at byte {position}")
            byte = data[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the varint's continuation bit
                break
            if shift > _VARINT_BITS:
                raise PoisonError(f"no length can be as long as the one that ends at byte {position}")
        if position + length > len(data):
            raise PoisonError(
                f"the file ends inside a message: at byte {position}, {length} bytes were announced"
            )
        yield data[position : position + length]
        position += length


def _decode(payload: bytes, message: M) -> M:
    try:
        if is_json(payload):
            json_format.ParseDict(_ids_to_base64(json.loads(payload)), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(payload)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError, SystemError) as error:
        # SystemError: what protobuf raises for half of a surrogate pair in place of a message.
        raise PoisonError(f"not an OTLP {type(message).__name__}: {error}") from error
    return message


def _ids_to_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_ids_to_base64(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(_id(key, item)).decode()
        if key in _JSON_IDS and isinstance(item, str)
        else _ids_to_base64(item)
        for key, item in value.items()
    }


def _id(key: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        if key in _JSON_PARENTS:  # without it the span would become a root
            raise
        return b""  # an invalid span, which costs only itself


def check_span(span: trace_pb2.Span) -> None:
    """Look whether a span can be stored.

    Raises:
        InvalidError: when it cannot.
    """
    hex_id(span.trace_id, TRACE_ID_BYTES, "trace_id")
    hex_id(span.span_id, SPAN_ID_BYTES, "span_id")
    storable(span.start_time_unix_nano)
    for event in span.events:
        storable(event.time_unix_nano)


def _ids_to_hex(value: Any) -> Any:
    if isinstance(value, list):
        return [_ids_to_hex(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex() if key in _JSON_IDS else _ids_to_hex(item)
        for key, item in value.items()
    }


def _span(span: trace_pb2.Span, resource: dict[str, str], scope: str, scope_version: str) -> Span:
    check_span(span)
    attributes = attributes_of(span.attributes)
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() if any(span.parent_span_id) else "",
        name=span.name,
        kind=KINDS.get(span.kind, str(span.kind)),
        start_ns=span.start_time_unix_nano,
        end_ns=max(span.start_time_unix_nano, span.end_time_unix_nano),
        status=STATUSES.get(span.status.code, str(span.status.code)),
        status_message=span.status.message,
        trace_state=span.trace_state,
        service=resource.get("service.name", ""),
        scope_name=scope,
        scope_version=scope_version,
        attributes=attributes,
        resource=resource,
        events=tuple(Event(e.time_unix_nano, e.name, attributes_of(e.attributes)) for e in span.events),
        **understand(attributes, resource, span.name),  # type: ignore[arg-type]  # the table's keys are Span's fields
    )
