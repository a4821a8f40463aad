"""Other tools' exports as OTLP: what each row says is understood, and what has no place is told."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

import samples
from outerloop.trace.evaluation import Evaluation, evaluations_of
from outerloop.trace.foreign import langfuse, phoenix
from outerloop.trace.foreign.made import Made, identity, nanoseconds
from outerloop.trace.model import Span
from outerloop.trace.otlp import spans_of

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "6f1f0b7a-64c6-4a44-9d52-0d3a4b7f1a10"
NONE: frozenset[str] = frozenset()
AT = 1_716_990_379_963_000_000
OBSERVATION = {
    "id": "b7ad6b7169203331",
    "trace_id": TRACE,
    "project_id": "p",
    "type": "GENERATION",
    "parent_observation_id": "00f067aa0ba902b7",
    "start_time": "2024-05-29 13:46:19.963000",
    "end_time": "2024-05-29 13:46:20.963000",
    "name": "answer",
    "metadata": {"tier": "gold"},
    "level": "ERROR",
    "status_message": "too long",
    "version": "7",
    "input": '[{"role":"user","content":"Where is it?"}]',
    "output": "Tomorrow.",
    "provided_model_name": "gpt-4o",
    "model_parameters": '{"temperature":0.7}',
    "usage_details": {"input": 12, "output": 3, "total": 15},
    "cost_details": {"input": 0.1, "output": 0.2},
    "total_cost": 0.3,
    "session_id": "s-1",
    "tool_calls": [],
    "tool_definitions": {"x": "y"},
}


def spans(made: Made) -> list[Span]:
    return spans_of(samples.request(*made.spans, service="shop", version=""))


def results(made: Made) -> list[Evaluation]:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add(log_records=made.results)
    return evaluations_of(request)


def test_an_observation_of_langfuse_is_a_span_that_is_understood() -> None:
    made = langfuse.read(OBSERVATION, NONE)
    (span,) = spans(made)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (
        TRACE,
        "b7ad6b7169203331",
        "00f067aa0ba902b7",
    )
    assert (span.start_ns, span.end_ns - span.start_ns) == (AT, samples.NS)
    assert (span.name, span.status, span.status_message, span.error_type) == (
        "answer",
        "Error",
        "too long",
        "ERROR",
    )
    assert (span.operation, span.model, span.session_id, span.agent_version) == ("chat", "gpt-4o", "s-1", "7")
    assert (span.input, span.output) == (OBSERVATION["input"], "Tomorrow.")
    assert (span.input_tokens, span.output_tokens, span.cost) == (12, 3, 0.3)
    assert span.attributes["langfuse.observation.metadata"] == '{"tier":"gold"}'
    assert made.unmapped == {"tool_definitions": 1}


def test_langfuse_speaks_in_camel_case_too_and_has_ids_of_other_kinds() -> None:
    row = {
        "id": "my own id",
        "traceId": OTHER,
        "type": "TOOL",
        "name": "get_order",
        "startTime": "2024-05-29T13:46:19.963Z",
        "endTime": None,
        "input": {"id": "A-1"},
        "output": {"status": "sent"},
        "usage": {"input": 5, "output": 1},
        "calculatedTotalCost": 0.5,
    }
    (span,) = spans(langfuse.read(row, NONE))
    assert span.trace_id == OTHER.replace("-", "")
    assert span.attributes["langfuse.observation.id"] == "my own id"
    assert (span.start_ns, span.end_ns) == (AT, AT)
    assert (span.operation, span.tool, span.arguments, span.result) == (
        *("execute_tool", "get_order"),
        *('{"id":"A-1"}', '{"status":"sent"}'),
    )
    assert (span.input_tokens, span.cost) == (5, 0.5)
    assert spans(langfuse.read(row, NONE)) == [span]  # the same again has the same ids


def test_a_trace_of_langfuse_is_the_root_of_its_observations() -> None:
    trace = {
        "id": TRACE,
        "timestamp": "2024-05-29 13:46:19.963",
        "name": "support",
        "input": "Where is it?",
        "output": "Tomorrow.",
        "userId": "u",
        "sessionId": "s-1",
        "latency": 1.5,
        "observations": [OBSERVATION | {"parent_observation_id": ""}, "the id of another"],
        "scores": [{"traceId": TRACE, "name": "thumb", "value": 0, "dataType": "NUMERIC"}],
    }
    assert list(langfuse.traces_of(trace)) == [TRACE]
    assert list(langfuse.traces_of(OBSERVATION)) == []
    made = langfuse.read(trace, NONE)
    root, child = spans(made)
    assert (root.parent_span_id, child.parent_span_id) == ("", root.span_id)
    assert (root.operation, root.agent, root.session_id) == ("invoke_agent", "shop", "s-1")
    assert (root.input, root.output, root.end_ns - root.start_ns) == (
        "Where is it?",
        "Tomorrow.",
        1_500_000_000,
    )
    assert [r.score for r in results(made)] == [0.0]
    alone = langfuse.read(OBSERVATION | {"parent_observation_id": None}, frozenset({TRACE}))
    assert spans(alone)[0].parent_span_id == root.span_id


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"value": 0.5, "data_type": "NUMERIC"}, ("", 0.5, False)),
        ({"value": 0, "string_value": "False", "data_type": "BOOLEAN"}, ("fail", 0.0, True)),
        ({"value": 1, "data_type": "BOOLEAN"}, ("pass", 1.0, False)),
        ({"value": "thumbs_down", "data_type": "CATEGORICAL"}, ("thumbs_down", None, True)),
        ({"value": 0, "string_value": "bad", "data_type": "CATEGORICAL"}, ("bad", 0.0, True)),
    ],
)
def test_a_score_of_langfuse_is_an_evaluation(said: dict[str, Any], expected: tuple[Any, ...]) -> None:
    row = {"id": "x", "trace_id": TRACE, "observation_id": "b7ad6b7169203331", "name": "quality", **said}
    (found,) = results(langfuse.read(row | {"comment": "so", "timestamp": "2024-05-29 13:46:19.963"}, NONE))
    assert (found.trace_id, found.span_id, found.name) == (TRACE, "b7ad6b7169203331", "quality")
    assert (found.explanation, found.time_ns) == ("so", AT)
    assert (found.label, found.score, found.bad) == expected


COLUMNS = {
    "name": "ChatCompletion",
    "span_kind": "LLM",
    "parent_id": None,
    "start_time": datetime.fromtimestamp(AT / 1e9, UTC),
    "end_time": datetime.fromtimestamp(AT / 1e9 + 1, UTC),
    "status_code": "ERROR",
    "status_message": "late",
    "events": [
        {"name": "exception", "timestamp": "2024-05-29T13:46:20Z", "attributes": {"exception.type": "E"}}
    ],
    "context.span_id": "b7ad6b7169203331",
    "context.trace_id": TRACE,
    "attributes.llm.model_name": "gpt-4o",
    "attributes.llm.token_count.prompt": 12,
    "attributes.llm.token_count.completion": float("nan"),
    "attributes.llm.input_messages": [{"message.role": "user", "message.content": "Where is it?"}],
    "attributes.llm.output_messages": [{"message": {"role": "assistant", "content": "Tomorrow."}}],
    "attributes.metadata": {"tier": "gold"},
    "attributes.tag.tags": ["a", "b"],
    "cumulative_error_count": 0,
    "notes": "mine",
}


def test_a_row_of_phoenix_is_a_span_that_is_understood() -> None:
    made = phoenix.read(COLUMNS)
    (span,) = spans(made)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, "b7ad6b7169203331", "")
    assert (span.status, span.status_message, span.end_ns - span.start_ns) == ("Error", "late", samples.NS)
    assert (span.operation, span.model, span.input_tokens, span.output_tokens) == ("chat", "gpt-4o", 12, 0)
    assert [m["role"] for m in json.loads(span.input)] == ["user"]
    assert json.loads(span.output)[0]["parts"] == [{"type": "text", "content": "Tomorrow."}]
    assert (span.attributes["metadata"], span.attributes["tag.tags"]) == ('{"tier":"gold"}', '["a","b"]')
    assert [(e.name, e.attributes) for e in span.events] == [("exception", {"exception.type": "E"})]
    assert made.unmapped == {"notes": 1}


def test_phoenix_nests_in_its_api() -> None:
    nested = {k: v for k, v in COLUMNS.items() if not k.startswith(("attributes.", "context."))} | {
        "context": {"trace_id": TRACE, "span_id": "b7ad6b7169203331"},
        "attributes": {
            "llm": {
                "model_name": "gpt-4o",
                "token_count": {"prompt": 12},
                "input_messages": [{"message": {"role": "user", "content": "Where is it?"}}],
                "output_messages": [{"message": {"role": "assistant", "content": "Tomorrow."}}],
            },
            "metadata": {"tier": "gold"},
            "tag": {"tags": ["a", "b"]},
        },
    }
    assert spans(phoenix.read(nested)) == spans(phoenix.read(COLUMNS))


@pytest.mark.parametrize(
    ("read", "row", "says"),
    [
        (phoenix.read, COLUMNS | {"context.trace_id": None}, "has no context.trace_id"),
        (phoenix.read, COLUMNS | {"start_time": "soon"}, "start_time is no date and time: 'soon'"),
        (phoenix.read, COLUMNS | {"start_time": "1924-05-29T13:46:20Z"}, "start_time is before 1970"),
        (lambda row: langfuse.read(row, NONE), {"trace_id": TRACE}, "is no observation"),
        (lambda row: langfuse.read(row, NONE), {"id": TRACE}, "has neither a trace_id nor a timestamp"),
        (lambda row: langfuse.read(row, NONE), OBSERVATION | {"id": 7}, "has no id"),
    ],
)
def test_what_a_row_lacks_is_said(read: Any, row: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(row)


@given(st.text(min_size=1))
def test_an_id_is_as_long_as_it_must_be_and_always_the_same(text: str) -> None:
    found = identity(text, 8, "id")
    assert (len(found), any(found)) == (8, True)
    assert identity(text, 8, "id") == found


@given(st.integers(0, 2**62).map(lambda us: datetime.fromtimestamp(us % 9_000_000_000, UTC)))
def test_a_time_is_in_utc_unless_it_says_otherwise(at: datetime) -> None:
    plain = at.replace(tzinfo=None)
    assert len({nanoseconds(each, "t") for each in (at, plain, str(plain), at.isoformat())}) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*OBSERVATION, "value"]), st.sampled_from(list(COLUMNS)), VALUES)
def test_a_strange_value_costs_at_most_its_row(one: str, other: str, value: Any) -> None:
    for read, row in (
        (lambda r: langfuse.read(r, NONE), OBSERVATION | {one: value}),
        (phoenix.read, COLUMNS | {other: value}),
    ):
        try:
            made = read(row)
        except (ValueError, TypeError, OverflowError):
            continue
        spans(made)
        results(made)
