"""What the receivers know of a signal: spans and logs differ in names only."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    DESCRIPTOR as LOGS,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    DESCRIPTOR as TRACES,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from outerloop.ingest.cleaning import Cleaner
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS
from outerloop.trace.evaluation import read_evaluations
from outerloop.trace.otlp import (
    SPAN_ID_BYTES,
    TRACE_ID_BYTES,
    InvalidError,
    Refusal,
    decode_logs,
    decode_traces,
    hex_id,
    storable,
)

_REASONS = 5  # that an answer names


@dataclass(frozen=True, slots=True)
class Names:
    """The fields on the way from a request to its spans, or log records."""

    groups: str
    scopes: str
    items: str


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. `service` is the gRPC service, `invalid` tells what will be left out when it is stored."""

    topic: str
    path: str
    service: str
    names: Names
    clean: Callable[[Cleaner], Callable[[bytes], bytes]]
    decode: Callable[[bytes], Any]
    invalid: Callable[[Any], list[Refusal]]
    answer: Callable[[list[Refusal]], Message]


def _traces(refused: list[Refusal]) -> Message:
    if not refused:  # full success: the field stays unset
        return ExportTraceServiceResponse()
    said = ExportTracePartialSuccess(rejected_spans=len(refused), error_message=_reasons(refused))
    return ExportTraceServiceResponse(partial_success=said)


def _logs(refused: list[Refusal]) -> Message:
    if not refused:
        return ExportLogsServiceResponse()
    said = ExportLogsPartialSuccess(rejected_log_records=len(refused), error_message=_reasons(refused))
    return ExportLogsServiceResponse(partial_success=said)


def _invalid_spans(request: ExportTraceServiceRequest) -> list[Refusal]:
    return list(_refusals(s for g in request.resource_spans for scope in g.scope_spans for s in scope.spans))


def _refusals(spans: Iterable[Any]) -> Iterator[Refusal]:
    for span in spans:
        try:
            hex_id(span.trace_id, TRACE_ID_BYTES, "trace_id")
            hex_id(span.span_id, SPAN_ID_BYTES, "span_id")
            storable(span.start_time_unix_nano)
        except InvalidError as error:
            yield error.refusal


def _invalid_logs(request: ExportLogsServiceRequest) -> list[Refusal]:
    return read_evaluations(request)[1]


def _reasons(refused: list[Refusal]) -> str:
    return "; ".join(list(dict.fromkeys(refusal.what for refusal in refused))[:_REASONS])


SIGNALS = (
    Signal(
        topic=OTLP_SPANS,
        path="/v1/traces",
        service=TRACES.services_by_name["TraceService"].full_name,
        names=Names("resource_spans", "scope_spans", "spans"),
        clean=lambda cleaner: cleaner.traces,
        decode=decode_traces,
        invalid=_invalid_spans,
        answer=_traces,
    ),
    Signal(
        topic=OTLP_LOGS,
        path="/v1/logs",
        service=LOGS.services_by_name["LogsService"].full_name,
        names=Names("resource_logs", "scope_logs", "log_records"),
        clean=lambda cleaner: cleaner.logs,
        decode=decode_logs,
        invalid=_invalid_logs,
        answer=_logs,
    ),
)
