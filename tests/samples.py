"""Hand-made traces, as OTLP: what an instrumented agent sends, small enough to read."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from outerloop.trace.model import Trace
from outerloop.trace.otlp import spans_of

NS = 1_000_000_000
BEGAN = (int(time.time()) - 3600) * NS


@dataclass(frozen=True)
class Call:
    """One tool call of a run."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    result: str = "ok"
    failed: bool = False


def trace_id(number: int) -> str:
    """The id of the run of that number."""
    return f"{number:032x}"


def attributes(**values: str | float) -> list[KeyValue]:
    """Attributes, `__` in a name standing for a dot."""
    return [KeyValue(key=k.replace("__", "."), value=_any(v)) for k, v in values.items()]


def span(number: int, place: int, name: str, *, error: str = "", **said: str | float) -> trace_pb2.Span:
    """The span at a place of a run; 0 is the root, the others are its children."""
    begins = BEGAN + number * NS + place * NS // 100
    return trace_pb2.Span(
        trace_id=bytes.fromhex(trace_id(number)),
        span_id=(place + 1).to_bytes(8, "big"),
        parent_span_id=(1).to_bytes(8, "big") if place else b"",
        name=name,
        kind=trace_pb2.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=begins,
        end_time_unix_nano=begins + NS // 200,
        attributes=attributes(**said),
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=error) if error else None,
    )


def request(
    *spans: trace_pb2.Span, service: str = "shop", version: str = "1.0.0"
) -> ExportTraceServiceRequest:
    """An export of these spans by one service."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.extend(attributes(service__name=service, service__version=version))
    group.scope_spans.add(spans=spans).scope.name = "tests"
    return made


def run(
    number: int,
    asked: str,
    *calls: Call,
    answer: str = "Done.",
    error: str = "",
    agent: str = "helpdesk",
    version: str = "1.0.0",
) -> ExportTraceServiceRequest:
    """A whole run of an agent by the GenAI conventions: a request, tool calls, an answer."""
    wish, said = message("user", asked), message("assistant", answer) if answer else "[]"
    spans = [
        span(
            number,
            0,
            f"invoke_agent {agent}",
            error=error,
            gen_ai__operation__name="invoke_agent",
            gen_ai__agent__name=agent,
            gen_ai__input__messages=wish if asked else "",
            gen_ai__output__messages=said,
        )
    ]
    spans += [
        span(
            number,
            place,
            f"execute_tool {call.tool}",
            error="failed" if call.failed else "",
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name=call.tool,
            gen_ai__tool__call__arguments=json.dumps(call.arguments),
            gen_ai__tool__call__result=call.result,
        )
        for place, call in enumerate(calls, 1)
    ]
    model = span(
        number,
        len(calls) + 1,
        "chat m",
        gen_ai__operation__name="chat",
        gen_ai__request__model="m",
        gen_ai__output__messages=said,
        gen_ai__usage__input_tokens=12,
    )
    return request(*spans, model, version=version)


def trace(exported: ExportTraceServiceRequest) -> Trace:
    """The trace that an export holds."""
    return Trace.of(spans_of(exported))


def message(role: str, text: str) -> str:
    """GenAI messages with one message of text."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def evaluation(
    number: int, name: str, label: str = "", *, score: float | None = None, said: str = ""
) -> ExportLogsServiceRequest:
    """An evaluation result for the root of the run of that number."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add()
    group.resource.attributes.extend(attributes(service__name="judge"))
    record = group.scope_logs.add().log_records.add(
        event_name="gen_ai.evaluation.result",
        trace_id=bytes.fromhex(trace_id(number)),
        span_id=(1).to_bytes(8, "big"),
        time_unix_nano=BEGAN + number * NS,
    )
    record.attributes.extend(attributes(gen_ai__evaluation__name=name, gen_ai__evaluation__explanation=said))
    if label:
        record.attributes.extend(attributes(gen_ai__evaluation__score__label=label))
    if score is not None:
        record.attributes.extend(attributes(gen_ai__evaluation__score__value=score))
    return made


def _any(value: str | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)
