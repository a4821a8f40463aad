"""What is sent: small spans of about a kilobyte, or recorded runs of agents under new ids."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from bench.traces import requests

SPANS_A_RECORD = 200
SPANS_A_TRACE = 20
_SAID = (
    "I would like to know where my order is, as it was to be here last week and nobody has told me anything. "
    "It was a kettle in blue, and it is for my sister. Thank you for looking into it for me today. "
)


def small(spans: int, *, after: int = 0) -> Iterator[tuple[bytes, int]]:
    """Requests of SPANS_A_RECORD spans each, and how many spans are in them; `after` so many others."""
    began = int(time.time()) * samples.NS
    for number in range(after // SPANS_A_RECORD, (after + spans) // SPANS_A_RECORD):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(
            samples.attributes(service__name="bench", service__version="7", host__name=f"node-{number % 40}")
        )
        scope = resource.scope_spans.add()
        for place in range(SPANS_A_RECORD):
            trace = number * SPANS_A_RECORD // SPANS_A_TRACE + place // SPANS_A_TRACE
            step = place % SPANS_A_TRACE
            span = samples.span(trace + 1, step, "chat model" if step else "invoke_agent")
            root = trace * SPANS_A_TRACE + 1  # ids of its own for each: some stores have one table of them
            span.span_id = (root + step).to_bytes(8, "big")
            span.parent_span_id = root.to_bytes(8, "big") if step else b""
            span.start_time_unix_nano = began + trace * samples.NS // 50 + step * 1_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + 900_000
            span.attributes.extend(
                samples.attributes(
                    gen_ai__operation__name="chat" if step else "invoke_agent",
                    gen_ai__agent__name="bench",
                    gen_ai__request__model="model-a",
                    gen_ai__conversation__id=f"conversation-{trace}",
                    gen_ai__usage__input_tokens=300 + place * 7,
                    gen_ai__usage__output_tokens=20 + place,
                    gen_ai__input__messages=f"[{trace}.{step}] {_SAID}",
                    gen_ai__output__messages=f"Order {trace * 31 % 9973}: {_SAID}{_SAID}",
                )
            )
            scope.spans.append(span)
        yield request.SerializeToString(), SPANS_A_RECORD


def recorded(folder: Path, spans: int) -> Iterator[tuple[bytes, int]]:
    """Recorded runs, a trace a record, again under new ids until there are so many spans."""
    known = [r for path in sorted(folder.glob("*.otlp.pb.zst")) for r in requests(path.read_bytes())]
    made, numbers = 0, count()
    while True:
        for request in known:
            number, held = next(numbers), 0  # files share ids: each record has its own
            for group in request.resource_spans:
                for scope in group.scope_spans:
                    for span in scope.spans:
                        span.trace_id = number.to_bytes(4, "big") + span.trace_id[4:]
                        held += 1
            yield request.SerializeToString(), held
            made += held
            if made >= spans:
                return
