"""Every dialect is understood; and what is looked through on its way to ClickHouse."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

import samples
from dialects import FIXTURES, Fixture, any_value
from outerloop.runtime.errors import PoisonError
from outerloop.trace.model import Span
from outerloop.trace.otlp import spans_of, split_delimited
from outerloop.trace.text import text_of_double
from outerloop.trace.wire import check_traces, delimited

OWN = {"trace_id", "span_id", "parent_span_id", "name", "kind", "start_ns", "end_ns", "status", "service"} | {
    "scope_name",
    "attributes",
    "resource",
}
RUN = samples.run(7, "Where is it?", samples.Call("get_order", {"id": "A-1"}))


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
def test_a_dialect_is_understood(fixture: Fixture) -> None:
    (span,) = spans_of(fixture.export(1))
    nothing = Span(trace_id="", span_id="")
    said = {f.name: getattr(span, f.name) for f in dataclasses.fields(Span) if f.name not in OWN}
    assert {k: v for k, v in said.items() if v != getattr(nothing, k)} == fixture.expected


@given(st.floats())
def test_a_double_reads_as_itself(number: float) -> None:
    assert repr(float(text_of_double(number))) == repr(number)


def test_an_export_that_clickhouse_can_take_passes_byte_for_byte() -> None:
    payload = RUN.SerializeToString()
    checked = check_traces(payload)
    assert checked.payload is payload
    assert checked.seen == {bytes.fromhex(samples.trace_id(7)): True}
    assert checked.span_ids == b"".join((n + 1).to_bytes(8, "big") for n in range(3))
    assert not checked.refused


@pytest.mark.parametrize(
    "value",
    [{}, [1], [None], ["a", []]],
)
def test_what_clickhouse_cannot_take_comes_as_text_and_bytes(value: object) -> None:
    sent = samples.run(7, "Where is it?")
    pair = sent.resource_spans[0].resource.attributes.add(key="x", value=any_value(value))
    payload = sent.SerializeToString()
    checked = check_traces(payload)
    assert checked.payload != payload
    got = ExportTraceServiceRequest.FromString(checked.payload)
    assert got.resource_spans[0].resource.attributes[-1].value.WhichOneof("value") is None
    assert pair.value.SerializeToString() in checked.payload


def test_who_sends_our_own_fields_says_nothing() -> None:
    pair = KeyValue(key="k", value=AnyValue.FromString(b"\x7a\x01x\x82\x01\x01y"))
    sent = samples.run(7, "Hi")
    sent.resource_spans[0].scope_spans[0].spans[0].attributes.append(pair)
    got = ExportTraceServiceRequest.FromString(check_traces(sent.SerializeToString()).payload)
    assert got.resource_spans[0].scope_spans[0].spans[0].attributes[-1].value.ByteSize() == 0


def test_an_array_of_texts_passes() -> None:
    sent = samples.run(7, "Hi")
    texts = ArrayValue(values=[AnyValue(string_value="a"), AnyValue(string_value="")])
    sent.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k", value=AnyValue(array_value=texts))
    payload = sent.SerializeToString()
    assert check_traces(payload).payload is payload


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("trace_id", b"\x01" * 15, "trace_id"),
        ("trace_id", bytes(16), "trace_id"),
        ("span_id", b"", "span_id"),
        ("start_time_unix_nano", 2**63, "time"),
    ],
)
def test_a_span_that_cannot_be_stored_costs_itself(field: str, value: object, reason: str) -> None:
    sent = ExportTraceServiceRequest.FromString(RUN.SerializeToString())
    setattr(sent.resource_spans[0].scope_spans[0].spans[1], field, value)
    checked = check_traces(sent.SerializeToString())
    assert [r.reason for r in checked.refused] == [reason]
    left = spans_of(ExportTraceServiceRequest.FromString(checked.payload))
    assert left == [spans_of(RUN)[0], spans_of(RUN)[2]]
    assert checked.spans == 2


def test_nothing_is_left_of_an_export_without_a_valid_span() -> None:
    sent = samples.request(samples.span(1, 0, "x"))
    sent.resource_spans[0].scope_spans[0].spans[0].trace_id = b""
    assert check_traces(sent.SerializeToString()).payload == b""
    assert check_traces(b"").payload == b""


@pytest.mark.parametrize("payload", [RUN.SerializeToString()[:-1], b"garbage", b"\x0a\x03\x1a\x01\xff"])
def test_what_is_no_otlp_is_poison(payload: bytes) -> None:
    with pytest.raises(PoisonError):
        check_traces(payload)


@given(st.lists(st.binary(max_size=300)))
def test_delimited_messages_are_split_again(messages: list[bytes]) -> None:
    assert list(split_delimited(delimited(messages))) == messages
