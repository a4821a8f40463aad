"""OTLP to spans: both encodings, every dialect, and nothing but PoisonError for what is broken."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1 import trace_pb2

import samples
from outerloop.runtime.errors import PoisonError
from outerloop.trace.evaluation import evaluations_of, read_evaluations
from outerloop.trace.model import Event, Span, Trace
from outerloop.trace.otlp import (
    attributes_of,
    decode_logs,
    decode_traces,
    is_json,
    read_spans,
    spans_of,
    split_delimited,
)

RUN = samples.run(
    7, "Where is my order?", samples.Call("get_order", {"id": "A-1"}), answer="On its way.", error="late"
)
IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def as_json(request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> bytes:
    """OTLP's JSON, which is protobuf's but for hex ids."""

    def hexed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: hexed(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [hexed(item) for item in value]
        return base64.b64decode(value).hex() if key in IDS else value

    return json.dumps(hexed(json_format.MessageToDict(request))).encode()


def only(**attributes: Any) -> Span:
    (found,) = spans_of(samples.request(samples.span(1, 0, "x", **attributes), service="", version=""))
    return found


def test_protobuf_and_json_give_the_same_spans() -> None:
    from_protobuf = spans_of(decode_traces(RUN.SerializeToString()))
    assert spans_of(decode_traces(as_json(RUN))) == from_protobuf
    assert spans_of(decode_traces(b"\n  " + as_json(RUN))) == from_protobuf
    assert len(from_protobuf) == 3


def test_a_span_keeps_what_was_sent() -> None:
    sent = trace_pb2.Span(
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent_span_id=b"\x01" * 8,
        trace_state="a=b",
        name="GET /",
        kind=trace_pb2.Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=1_795_435_200_123_456_789,
        end_time_unix_nano=1_795_435_201_000_000_001,
        attributes=samples.attributes(a="1", n=2, f=0.5),
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_OK, message="fine"),
        events=[trace_pb2.Span.Event(time_unix_nano=5, name="e", attributes=samples.attributes(k="v"))],
    )
    (got,) = spans_of(samples.request(sent, service="shop", version="2"))
    assert got == Span(
        trace_id=bytes(range(16)).hex(),
        span_id=bytes(range(8)).hex(),
        parent_span_id="01" * 8,
        name="GET /",
        kind="Client",
        start_ns=1_795_435_200_123_456_789,
        end_ns=1_795_435_201_000_000_001,
        status="Ok",
        status_message="fine",
        trace_state="a=b",
        service="shop",
        scope_name="tests",
        attributes={"a": "1", "n": "2", "f": "0.5"},
        resource={"service.name": "shop", "service.version": "2"},
        events=(Event(5, "e", {"k": "v"}),),
        agent_version="2",
    )


def test_structured_values_are_kept_as_json() -> None:
    parts = AnyValue(
        array_value=ArrayValue(
            values=[
                AnyValue(
                    kvlist_value=KeyValueList(values=[KeyValue(key="ü", value=AnyValue(string_value='"'))])
                ),
                AnyValue(bool_value=False),
                AnyValue(int_value=-(2**63)),
                AnyValue(double_value=0.1),
                AnyValue(bytes_value=b"\x00\xff"),
                AnyValue(),
            ]
        )
    )
    pairs = [KeyValue(key="all", value=parts), KeyValue(key="none", value=AnyValue())]
    assert attributes_of(pairs) == {
        "all": '[{"ü":"\\""},false,-9223372036854775808,0.1,"AP8=",null]',
        "none": "null",
    }


def test_messages_as_structured_values_read_like_messages_as_json() -> None:
    structured = AnyValue()
    json_format.ParseDict(
        {
            "arrayValue": {
                "values": [
                    {
                        "kvlistValue": {
                            "values": [
                                {"key": "role", "value": {"stringValue": "user"}},
                                {
                                    "key": "parts",
                                    "value": {
                                        "arrayValue": {
                                            "values": [
                                                {
                                                    "kvlistValue": {
                                                        "values": [
                                                            {"key": "type", "value": {"stringValue": "text"}},
                                                            {
                                                                "key": "content",
                                                                "value": {"stringValue": "Hi"},
                                                            },
                                                        ]
                                                    }
                                                }
                                            ]
                                        }
                                    },
                                },
                            ]
                        }
                    }
                ]
            }
        },
        structured,
    )
    sent = samples.span(1, 0, "x", gen_ai__operation__name="invoke_agent")
    sent.attributes.append(KeyValue(key="gen_ai.input.messages", value=structured))
    assert samples.trace(samples.request(sent)).request == "Hi"


CHAT = {"operation": "chat", "model": "m-1", "input_tokens": 10, "output_tokens": 3}
TOOL = {"operation": "execute_tool", "tool": "get_order", "arguments": '{"id":"A-1"}', "result": "sent"}


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        pytest.param(
            {
                "gen_ai__operation__name": "chat",
                "gen_ai__provider__name": "anthropic",
                "gen_ai__request__model": "m",
                "gen_ai__response__model": "m-1",
                "gen_ai__usage__input_tokens": 10,
                "gen_ai__usage__output_tokens": 3,
                "gen_ai__conversation__id": "s-1",
            },
            {**CHAT, "provider": "anthropic", "session_id": "s-1"},
            id="genai",
        ),
        pytest.param(
            {
                "gen_ai__operation__name": "chat",
                "gen_ai__system": "anthropic",
                "gen_ai__request__model": "m-1",
                "gen_ai__usage__prompt_tokens": 10,
                "gen_ai__usage__completion_tokens": 3,
            },
            {**CHAT, "provider": "anthropic"},
            id="genai-deprecated",
        ),
        pytest.param(
            {
                "openinference__span__kind": "LLM",
                "llm__system": "anthropic",
                "llm__model_name": "m-1",
                "llm__token_count__prompt": 10,
                "llm__token_count__completion": 3,
                "session__id": "s-1",
                "input__value": "Hi",
                "output__value": "Hello",
            },
            {**CHAT, "provider": "anthropic", "session_id": "s-1", "input": "Hi", "output": "Hello"},
            id="openinference",
        ),
        pytest.param(
            {
                "gen_ai__operation__name": "execute_tool",
                "gen_ai__tool__name": "get_order",
                "gen_ai__tool__call__arguments": '{"id":"A-1"}',
                "gen_ai__tool__call__result": "sent",
            },
            TOOL,
            id="genai-tool",
        ),
        pytest.param(
            {
                "gen_ai__operation__name": "execute_tool",
                "gen_ai__tool__name": "get_order",
                "gen_ai__tool__call__arguments": '{"id":"A-1"}',
                "gen_ai__tool__call__response": "sent",
                "error__type": "Timeout",
            },
            {**TOOL, "error_type": "Timeout"},
            id="genai-tool-response",
        ),
        pytest.param(
            {
                "openinference__span__kind": "TOOL",
                "tool__name": "get_order",
                "input__value": '{"id":"A-1"}',
                "output__value": "sent",
            },
            TOOL,
            id="openinference-tool",
        ),
        pytest.param(
            {
                "traceloop__span__kind": "workflow",
                "traceloop__workflow__name": "desk",
                "traceloop__entity__input": "Hi",
                "traceloop__association__properties__session_id": "s-1",
            },
            {"operation": "invoke_workflow", "agent": "desk", "input": "Hi", "session_id": "s-1"},
            id="traceloop",
        ),
        pytest.param({"http__method": "GET", "gen_ai__usage__input_tokens": "many"}, {}, id="none"),
    ],
)
def test_a_dialect_is_understood(said: dict[str, Any], understood: dict[str, Any]) -> None:
    span = only(**said)
    bare = replace(only(), attributes=span.attributes)
    assert span == replace(bare, **understood)


def test_a_new_name_wins_over_a_deprecated_one() -> None:
    assert only(gen_ai__system="old", gen_ai__provider__name="new").provider == "new"


def test_an_agent_without_a_name_is_called_as_its_service() -> None:
    (root,) = spans_of(samples.request(samples.span(1, 0, "x", gen_ai__operation__name="invoke_agent")))
    assert (root.agent, root.agent_version) == ("shop", "1.0.0")


@pytest.mark.parametrize("length", [0, 8, 15, 17, 32])
def test_a_trace_id_of_another_length_costs_its_span(length: int) -> None:
    request = ExportTraceServiceRequest.FromString(RUN.SerializeToString())
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b"\x01" * length
    costs_one_span(request, "trace_id", "trace_id must be 16 bytes")


@pytest.mark.parametrize("value", [b"", b"\x01" * 7, b"\x01" * 9, bytes(8)])
def test_a_span_id_of_another_length_or_of_zeros_costs_its_span(value: bytes) -> None:
    request = ExportTraceServiceRequest.FromString(RUN.SerializeToString())
    request.resource_spans[0].scope_spans[0].spans[1].span_id = value
    costs_one_span(request, "span_id", "span_id must be 8 bytes")


def costs_one_span(request: ExportTraceServiceRequest, reason: str, what: str) -> None:
    first, _, third = spans_of(RUN)
    left, (refused,) = read_spans(request)
    assert left == [first, third]
    assert refused.reason == reason
    assert what in refused.what


@pytest.mark.parametrize("of_event", [False, True])
def test_a_time_that_cannot_be_stored_costs_its_span(of_event: bool) -> None:  # noqa: FBT001
    request = ExportTraceServiceRequest.FromString(RUN.SerializeToString())
    span = request.resource_spans[0].scope_spans[0].spans[1]
    if of_event:
        span.events.add(time_unix_nano=2**63)
    else:
        span.start_time_unix_nano = 2**63
    costs_one_span(request, "time", "less than 2^63 ns")


@pytest.mark.parametrize(
    "payload",
    [
        RUN.SerializeToString()[:-1],
        as_json(RUN)[:-1],
        b"garbage",
        b"\xff" * 100,
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [5]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"parentSpanId": "not hex"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "soon"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
        b'{"resourceSpans": [{"resource": {"attributes": [{"value": {"bytesValue": "A"}}]}}]}',
        b'{"resourceSpans": "\xff"}',
        b'{"resourceSpans":' + b"[" * 100_000,
        b'{"resourceSpans":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
    ids=range(13),
)
def test_what_is_no_otlp_is_poison(payload: bytes) -> None:
    with pytest.raises(PoisonError, match="not an OTLP ExportTraceServiceRequest"):
        decode_traces(payload)


def test_values_nested_too_deep_are_poison() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    inner = b""
    for _ in range(60):
        value = {"arrayValue": {"values": [value]}}
        inner = b"\x2a" + delimited(b"\x0a" + delimited(inner))  # AnyValue.array_value, ArrayValue.values
    attribute = b"\x0a\x01k\x12" + delimited(inner)
    group = b"\x0a" + delimited(b"\x0a" + delimited(attribute))  # ResourceSpans.resource, its attributes
    with pytest.raises(PoisonError, match="MaxDepth"):
        decode_traces(b"\x0a" + delimited(group))
    attributes = [{"key": "k", "value": value}]
    with pytest.raises(PoisonError, match="too deep"):
        decode_traces(json.dumps({"resourceSpans": [{"resource": {"attributes": attributes}}]}).encode())


def test_fields_of_tomorrow_are_ignored() -> None:
    later = json.loads(as_json(RUN)) | {"futureField": {"traceId": "00"}}
    assert spans_of(decode_traces(json.dumps(later).encode())) == spans_of(RUN)


def test_protobuf_of_any_length_is_told_apart_from_json() -> None:
    # A newline is the tag of the first field, and a brace its length: 123 bytes.
    for padding in range(200):
        payload = samples.request(samples.span(1, 0, "x" * padding)).SerializeToString()
        assert not is_json(payload)
        assert len(spans_of(decode_traces(payload))) == 1


def delimited(*messages: bytes) -> bytes:
    def varint(n: int) -> bytes:
        return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80]) + varint(n >> 7)

    return b"".join(varint(len(message)) + message for message in messages)


def test_a_delimited_file_is_split() -> None:
    messages = [b"", b"x", b"y" * 127, b"z" * 128, b"w" * 70_000]
    assert list(split_delimited(delimited(*messages))) == messages
    assert list(split_delimited(b"")) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x05abc", "ends inside a message: at byte 1, 5 bytes were announced"),
        (delimited(b"ok") + b"\x80", "ends inside a length, at byte 4"),
        (b"\xff" * 1_000_000, "no length can be as long"),
        (b"\xff\xff\xff\xff\x0fabc", "ends inside a message"),
    ],
)
def test_a_broken_delimited_file_is_poison(data: bytes, says: str) -> None:
    with pytest.raises(PoisonError, match=says):
        list(split_delimited(data))


def test_an_evaluation_result_is_read() -> None:
    request = samples.evaluation(7, "quality", "fail", score=0.25, said="rude")
    for decoded in (decode_logs(request.SerializeToString()), decode_logs(as_json(request))):
        (found,) = evaluations_of(decoded)
        assert (found.trace_id, found.span_id) == (samples.trace_id(7), "0000000000000001")
        assert (found.name, found.label, found.score) == ("quality", "fail", 0.25)
        assert (found.explanation, found.source, found.bad) == ("rude", "judge", True)
        assert found.time_ns == samples.BEGAN + 7 * samples.NS


@pytest.mark.parametrize(
    ("label", "score", "bad"),
    [
        ("Fail", None, True),
        ("pass", 0.0, False),  # a label says it better than a number of an unknown scale
        ("", 0.0, True),
        ("", -1.0, True),
        ("", 0.5, False),
        ("", None, False),
    ],
)
def test_when_an_evaluation_is_bad(label: str, score: float | None, bad: bool) -> None:  # noqa: FBT001
    (found,) = evaluations_of(samples.evaluation(1, "quality", label, score=score))
    assert found.bad is bad


def test_other_log_records_are_none_of_our_business() -> None:
    request = samples.evaluation(1, "quality", "fail")
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.event_name = "gen_ai.user.message"
    record.trace_id = b""
    assert evaluations_of(request) == []


def test_the_event_name_may_be_an_attribute() -> None:
    request = samples.evaluation(1, "quality", "fail")
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.event_name = ""
    record.attributes.extend(samples.attributes(event__name="gen_ai.evaluation.result"))
    assert [found.name for found in evaluations_of(request)] == ["quality"]


def test_feedback_as_it_was_sent_before_is_a_result() -> None:
    request = samples.evaluation(1, "", "")
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.event_name = "gen_ai.evaluation.user_feedback"
    del record.attributes[:]
    record.attributes.extend(samples.attributes(gen_ai__evaluation__score=-1.0))
    (found,) = evaluations_of(request)
    assert (found.name, found.score, found.bad) == ("user_feedback", -1.0, True)


def test_a_result_without_a_trace_costs_only_itself() -> None:
    request = samples.evaluation(1, "quality", "fail")
    records = request.resource_logs[0].scope_logs[0].log_records
    records.add().CopyFrom(records[0])
    records[0].trace_id = b""
    (left,), (refused,), _ = read_evaluations(request)
    assert left.trace_id == samples.trace_id(1)
    assert refused.what.startswith("result_trace_id must be 16 bytes")


TEXTS = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "type", "content", "text", "user"]) | TEXTS, inner, max_size=3
        )
    ),
    max_leaves=12,
)
OTLP_JSON = st.recursive(
    JSON,
    lambda inner: st.dictionaries(
        st.sampled_from(
            [
                *("resourceSpans", "resource", "scopeSpans", "spans", "traceId", "spanId", "attributes"),
                *("key", "value", "stringValue", "kvlistValue", "arrayValue", "values", "status", "kind"),
            ]
        ),
        inner | st.lists(inner, max_size=2),
        max_size=3,
    ),
    max_leaves=20,
)


def decodes_or_is_poison(payload: bytes) -> None:
    try:
        spans = spans_of(decode_traces(payload))
    except PoisonError:
        return
    assert all(len(span.trace_id) == 32 and len(span.span_id) == 16 for span in spans)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_poison(payload: bytes) -> None:
    decodes_or_is_poison(payload)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 4))
def test_a_damaged_request_decodes_or_is_poison(at: int, damage: bytes, cut: int) -> None:
    payload = RUN.SerializeToString()
    at %= len(payload)
    decodes_or_is_poison(payload[:at] + damage + payload[at + cut :])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["resourceSpans", "x"]), OTLP_JSON | st.lists(OTLP_JSON), max_size=2))
def test_any_json_decodes_or_is_poison(value: Any) -> None:
    decodes_or_is_poison(json.dumps(value).encode())


def used(hostile: str) -> None:
    root = Span(trace_id="t", span_id="1", operation="invoke_agent", input=hostile, output=hostile)
    tool = Span(trace_id="t", span_id="2", operation="execute_tool", arguments=hostile, result=hostile)
    chat = Span(trace_id="t", span_id="3", operation="chat", input=hostile, output=hostile)
    for spans in ([root], [tool], [chat], [root, tool, chat]):
        trace = Trace.of(spans)
        said = (trace.request, trace.answer, trace.input_messages, [c.arguments for c in trace.tool_calls])
        json.dumps(said, ensure_ascii=False).encode()  # what is read here is stored and sent


@settings(max_examples=300, deadline=None)
@given(JSON | st.lists(JSON, max_size=3))
def test_hostile_json_in_attributes_hurts_nobody(value: Any) -> None:
    used(json.dumps(value))


@pytest.mark.parametrize(
    "hostile",
    [
        '[{"role": "user", "parts": 5}]',
        '[{"role": "user", "parts": ["text"]}]',
        '[{"role": {}, "content": [1]}]',
        '{"parts": {"type": "text"}}',
        '{"id": "\\ud800"}',
        '[{"role": "user", "content": "\\uDFFF"}]',
        "[" * 100_000,
        "[" * 400 + "]" * 400,
        '{"a":' * 900 + "1" + "}" * 900,
        "9" * 5_000,
        "NaN",
        '{"a": Infinity}',
    ],
    ids=range(12),
)
def test_hostile_text_in_attributes_hurts_nobody(hostile: str) -> None:
    used(hostile)


def test_a_pair_of_surrogates_is_one_character() -> None:
    root = Span(trace_id="t", span_id="1", output='{"content": "\\ud83d\\ude00 \\\\ud800 \\ud800"}')
    assert Trace.of([root]).answer == "😀 \\ud800 ?"


def test_a_trace_knows_its_root_and_counts_a_repeated_span_once() -> None:
    spans = spans_of(RUN)
    trace = Trace.of([*reversed(spans), spans[1]])
    assert trace.root == spans[0]
    assert [s.span_id for s in trace.spans] == [s.span_id for s in spans]
    assert (trace.agent, trace.version) == ("helpdesk", "1.0.0")
    assert (trace.request, trace.answer) == ("Where is my order?", "On its way.")
    assert [(c.name, c.arguments, c.result, c.failed) for c in trace.tool_calls] == [
        ("get_order", {"id": "A-1"}, "ok", False)
    ]
    without = Trace.of(spans[1:])
    assert without.root == spans[1]


def test_a_langgraph_says_its_answer_with_the_last_message_of_its_state() -> None:
    said = [
        {"type": "human", "data": {"content": "Where is A-1?"}},
        {"type": "ai", "data": {"content": [{"type": "text", "text": "Let me see."}, {"type": "tool_use"}]}},
        {"type": "tool", "data": {"content": "shipped"}},
        {"type": "ai", "data": {"content": "It is shipped."}},
    ]
    nothing = '[{"role":"user","parts":[]}]'  # as OpenInference has it at the root
    root = Span(trace_id="t", span_id="1", input=nothing, output=json.dumps({"messages": said}))
    call = Span(trace_id="t", span_id="2", parent_span_id="1", operation="chat", input="Where is A-1?")
    trace = Trace.of([root, call])
    assert (trace.request, trace.answer) == ("Where is A-1?", "It is shipped.")
    state = Trace.of([Span(trace_id="t", span_id="1", input=json.dumps({"messages": said}))])
    assert [m["role"] for m in state.input_messages] == ["user", "assistant", "tool", "assistant"]
    assert state.request == "Where is A-1?"


@pytest.mark.parametrize("output", ['{"messages": ["a"]}', '{"messages": [{"data": 1}]}', '{"messages": 3}'])
def test_an_answer_that_only_looks_like_a_state_is_plain_text(output: str) -> None:
    assert Trace.of([Span(trace_id="t", span_id="1", output=output)]).answer == output


def langgraph(*asked: str, given: str = "A-1", tool: str = "get_order") -> Trace:
    """A model asked for calls of get_order with these arguments; the tool's span says what was given."""
    parts = [{"type": "tool_call", "id": "1", "name": "get_order", "arguments": each} for each in asked]
    said = json.dumps([{"role": "assistant", "parts": parts}])
    return Trace.of(
        [
            Span(trace_id="t", span_id="1", operation="chat", output=said),
            Span(trace_id="t", span_id="2", operation="execute_tool", tool=tool, arguments=given, start_ns=1),
        ]
    )


def test_the_only_argument_of_a_langgraph_tool_has_the_name_that_the_model_gave_it() -> None:
    (call,) = langgraph('{"order_id": "A-2"}', '{"order_id": "A-1"}', "half of", "[1]").tool_calls
    assert call.arguments == {"order_id": "A-1"}
    (call,) = langgraph('{"order_id": "5"}', given="5").tool_calls
    assert call.arguments == {"order_id": "5"}


@pytest.mark.parametrize(
    "trace",
    [
        langgraph('{"order_id": "A-2"}'),
        langgraph('{"order_id": "A-1"}', tool="cancel"),
        langgraph('{"order_id": "A-1", "why": "so"}'),
        langgraph('{"order_id": 5}', given="5"),  # a number is given with its name
        langgraph('{"order_id": "A-1"}', '{"name": "A-1"}', '{"order_id": "A-1"}'),  # nobody knows which
        langgraph('{"a": ""}', given=""),
    ],
)
def test_a_bare_argument_has_no_name_that_was_not_given(trace: Trace) -> None:
    assert trace.tool_calls[0].arguments == {}
