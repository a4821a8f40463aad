"""What the harness tells of its own sessions, as the loop itself reads it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.decision_pb2 import VERDICT_REJECT, VERDICT_SHIP, DecisionReached
from outerloop.propose.tracing import AGENT, evaluation_of, trace_of
from outerloop.store.sessions import SessionRecord, State, StepRecord, StepState
from outerloop.trace.model import Trace
from outerloop.trace.otlp import spans_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = SessionRecord(
    session_id="s1",
    agent="helpdesk",
    change_id="c1",
    mode_id="m1",
    eval_id="e1",
    attempt=2,
    candidate=0,
    strategy="",
    state=State.ENDED,
    base_commit="b",
    model="claude-sonnet-5-5",
    told="# Task",
    outcome=json.dumps({"base": "b", "patch": "+x", "diagnosis": "It was silent.", "usd": 0.1}),
    began_at=NOW,
    at=NOW + timedelta(seconds=9),
)
STEP = StepRecord(
    agent="helpdesk",
    change_id="c1",
    session_id="s1",
    step=1,
    epoch=1,
    state=StepState.DONE,
    stop_reason="tool_use",
    content=json.dumps(
        [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t1", "name": "read_file", "input": {"path": "../x"}},
        ]
    ),
    results=json.dumps([{"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}]),
    input_tokens=1000,
    output_tokens=50,
    cache_read_tokens=900,
    cache_write_tokens=0,
    usd=0.1,
    seconds=2.0,
    at=NOW + timedelta(seconds=5),
)


def test_a_session_is_one_trace_of_an_agent_of_its_own() -> None:
    trace = Trace.of(spans_of(trace_of(SESSION, [STEP], "anthropic")))
    assert (trace.agent, trace.request, trace.answer) == (AGENT, "# Task", "It was silent.")
    assert not trace.root.failed
    (call,) = trace.tool_calls
    assert (call.name, dict(call.arguments), call.result, call.failed) == (
        "read_file",
        {"path": "../x"},
        "no",
        True,
    )
    (chat,) = trace.model_calls
    assert (chat.input_tokens, chat.output_tokens, chat.model) == (1000, 50, "claude-sonnet-5-5")
    assert chat.end_ns - chat.start_ns == 2_000_000_000
    again = Trace.of(spans_of(trace_of(SESSION, [STEP], "anthropic")))
    assert again == trace
    (served,) = Trace.of(spans_of(trace_of(SESSION, [STEP], "bedrock"))).model_calls
    assert (chat.provider, served.provider) == ("anthropic", "aws.bedrock")


def test_a_look_at_the_agent_is_no_call_of_a_model() -> None:
    blocks = [json.dumps([{"type": "text", "text": text}]) for text in ("turns = 5: tests", "they pass")]
    look = replace(STEP, stop_reason="", output_tokens=0, content=blocks[0], results=blocks[1])
    trace = Trace.of(spans_of(trace_of(SESSION, [look], "anthropic")))
    assert trace.model_calls == ()
    (span,) = (span for span in trace.spans if span != trace.root)
    assert (span.name, span.attributes["outerloop.seen"]) == ("look", "they pass")


def test_a_session_without_a_change_ended_in_an_error() -> None:
    silent = replace(
        SESSION, outcome=json.dumps({"reason": "silence: it stopped", "usd": 0.1, "final": False})
    )
    root = Trace.of(spans_of(trace_of(silent, [], "anthropic"))).root
    assert root.failed
    assert root.error_type == "no_change"
    assert root.status_message == "silence: it stopped"


def test_the_gates_verdict_is_an_evaluation_of_it() -> None:
    trace = Trace.of(spans_of(trace_of(SESSION, [], "anthropic")))
    for verdict, label in ((VERDICT_REJECT, "fail"), (VERDICT_SHIP, "pass")):
        decision = DecisionReached(change_id="c1", verdict=verdict, reason="an earlier eval fails")
        (record,) = evaluation_of(SESSION, decision).resource_logs[0].scope_logs[0].log_records
        said = {a.key: a.value.string_value for a in record.attributes}
        assert record.trace_id.hex() == trace.trace_id
        assert record.span_id.hex() == trace.root.span_id
        assert said["gen_ai.evaluation.score.label"] == label
