"""Hostile records: whatever comes, a record is stored, left out in part, or poison; nothing else happens."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from hostile import broken, odd_json
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.errors import PoisonError
from outerloop.trace.evaluation import read_evaluations
from outerloop.trace.otlp import decode_logs, decode_traces, to_json
from outerloop.trace.wire import check_traces

CLEANER = Cleaner(IngestSettings(redact="credentials,cards,emails,phones"))
TOKEN = "gh" + "p_" + "a1" * 18
RUN = samples.run(7, f"mail ada@example.org, use {TOKEN}", samples.Call("get_order", {"id": "A-1"}))
PROTOBUF = RUN.SerializeToString()
JSON = json.loads(to_json(RUN))
LOGS = samples.evaluation(1, "policy", "fail", said=TOKEN)


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except PoisonError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(broken(PROTOBUF) | odd_json(JSON) | st.binary(max_size=80))
def test_a_record_of_spans_is_checked_or_poison(value: bytes) -> None:
    checked = outcome(lambda: check_traces(CLEANER.traces(value)))
    if isinstance(checked, PoisonError):
        assert str(checked)
        return
    kept = ExportTraceServiceRequest.FromString(checked.payload)
    spans = [s for g in kept.resource_spans for scope in g.scope_spans for s in scope.spans]
    assert list(checked.seen) == list(dict.fromkeys(s.trace_id for s in spans))
    left_out = ExportTraceServiceRequest.FromString(checked.left_out)
    apart = [s for g in left_out.resource_spans for scope in g.scope_spans for s in scope.spans]
    assert len(apart) == len(checked.refused)
    came = decode_traces(CLEANER.traces(value))
    assert len(spans) + len(apart) == sum(len(s.spans) for g in came.resource_spans for s in g.scope_spans)


@settings(max_examples=200, deadline=None)
@given(broken(LOGS.SerializeToString()) | odd_json(json.loads(to_json(LOGS))) | st.binary(max_size=80))
def test_a_record_of_logs_is_read_or_poison(value: bytes) -> None:
    read = outcome(lambda: read_evaluations(decode_logs(CLEANER.logs(value))))
    if not isinstance(read, PoisonError):
        found, refused, left_out = read
        assert len(found) + len(refused) <= 1
        assert len(refused) == len(left_out.resource_logs)


def test_what_is_left_out_is_kept_with_its_surroundings() -> None:
    spans = RUN.resource_spans[0].scope_spans[0].spans
    sent = ExportTraceServiceRequest.FromString(PROTOBUF)
    wrong = sent.resource_spans[0].scope_spans[0].spans[1]
    wrong.span_id = b"short"
    checked = check_traces(sent.SerializeToString())
    assert [r.reason for r in checked.refused] == ["span_id"]
    assert checked.left_out == samples.request(wrong).SerializeToString()
    assert checked.spans == len(spans) - 1


def test_an_id_that_is_no_hex_costs_only_its_span() -> None:
    document = json.loads(json.dumps(JSON))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[1]["spanId"] = "xyz"
    checked = check_traces(json.dumps(document).encode())
    assert [r.what for r in checked.refused] == ["span_id must be 8 bytes and not all zero, got none"]
    assert checked.spans == len(spans) - 1
    spans[2]["parentSpanId"] = "xyz"  # it would become a root
    with pytest.raises(PoisonError, match="non-hexadecimal"):
        check_traces(json.dumps(document).encode())


def test_logs_without_a_trace_are_left_out_and_kept() -> None:
    sent = ExportLogsServiceRequest.FromString(LOGS.SerializeToString())
    records = sent.resource_logs[0].scope_logs[0].log_records
    records.add().CopyFrom(records[0])
    records[1].trace_id = b"x"
    found, refused, left_out = read_evaluations(sent)
    assert (len(found), [r.reason for r in refused]) == (1, ["result_trace_id"])
    assert left_out.resource_logs[0].scope_logs[0].log_records[0].trace_id == b"x"
