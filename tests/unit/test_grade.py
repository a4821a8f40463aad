"""Expectations over traces: when they hold, and what is said when they do not."""

import json
from typing import Any

import pytest

from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import NoRepeatedCall, ToolCalled, ToolNotCalled
from outerloop.evals.grade import describe, grade
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import Span, Trace

ORDER = {"order_id": "A-1007"}


def call(tool: str, arguments: dict[str, Any], *, result: str = "", failed: bool = False) -> dict[str, Any]:
    return {
        "operation": "execute_tool",
        "tool": tool,
        "arguments": json.dumps(arguments),
        "result": result,
        "status": "Error" if failed else "Unset",
    }


def trace(*calls: dict[str, Any], **root: Any) -> Trace:
    spans = [Span(trace_id="t", span_id="root", operation="invoke_agent", **root)]
    spans += [
        Span(trace_id="t", span_id=f"s{n}", parent_span_id="root", start_ns=n, **fields)
        for n, fields in enumerate(calls, 1)
    ]
    return Trace.of(spans)


def answered(text: str) -> dict[str, Any]:
    return {"output": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}])}


@pytest.mark.parametrize(
    ("expectation", "good"),
    [
        (ToolCalled(tool="get_order"), trace(call("get_order", ORDER))),
        (ToolCalled(tool="get_order", arguments=ORDER), trace(call("get_order", {**ORDER, "full": True}))),
        (
            ToolCalled(tool="get_order", arguments=ORDER),
            trace(call("get_order", ORDER, failed=True), call("get_order", ORDER)),
        ),
        (ToolCalled(tool="pay", arguments={"amount": 5}), trace(call("pay", {"amount": 5.0}))),
        (ToolNotCalled(tool="refund"), trace(call("get_order", ORDER))),
        (ToolNotCalled(tool="refund", arguments=ORDER), trace(call("refund", {"order_id": "A-1"}))),
        (NoRepeatedCall(), trace(call("a", ORDER), call("a", ORDER), call("a", {}))),
        (NoErrorStatus(), trace(call("a", {}, failed=True))),
        (Answered(), trace(**answered("Done."))),
    ],
)
def test_what_holds(expectation: Expectation, good: Trace) -> None:
    assert grade([expectation], good).reasons == ()
    assert grade([expectation], good).passed


@pytest.mark.parametrize(
    ("expectation", "bad", "reason"),
    [
        (
            ToolCalled(tool="refund_order", arguments=ORDER),
            trace(),
            "expected a call of refund_order with {'order_id': 'A-1007'}: it was never called",
        ),
        (
            ToolCalled(tool="get_order", arguments=ORDER),
            trace(call("get_order", {"order_id": 7})),
            "expected a call of get_order with {'order_id': 'A-1007'}: it was called with {'order_id': 7}",
        ),
        (
            ToolCalled(tool="get_order"),
            trace(call("get_order", ORDER, result="no such order", failed=True)),
            "expected a call of get_order: it was called, but failed with no such order",
        ),
        (
            ToolCalled(tool="pay", arguments={"amount": 1}),
            trace(call("pay", {"amount": True})),
            "expected a call of pay with {'amount': 1}: it was called with {'amount': True}",
        ),
        (
            ToolNotCalled(tool="refund_order"),
            trace(call("refund_order", ORDER, failed=True)),
            "expected no call of refund_order: it was called with {'order_id': 'A-1007'}",
        ),
        (
            NoRepeatedCall(most=1),
            trace(call("a", {"x": 1, "y": 2}), call("a", {"y": 2, "x": 1})),
            'expected no call more than once: a was called 2 times with {"x":1,"y":2}',
        ),
        (
            NoErrorStatus(),
            trace(status="Error", error_type="Overrun", status_message="too many turns"),
            "expected an end without an error: the run ended with Overrun: too many turns",
        ),
        (Answered(), trace(**answered("  ")), "expected an answer: the run ended without one"),
    ],
)
def test_what_does_not_hold_is_said_in_a_sentence(expectation: Expectation, bad: Trace, reason: str) -> None:
    assert grade([expectation], bad).reasons == (reason,)
    assert not grade([expectation], bad).passed


def test_every_expectation_is_checked() -> None:
    verdict = grade([ToolCalled(tool="a"), Answered(), ToolCalled(tool="b")], trace(call("a", {})))
    assert [reason.split(":")[0] for reason in verdict.reasons] == [
        "expected an answer",
        "expected a call of b",
    ]


def test_plain_words() -> None:
    assert (
        describe(ToolCalled(tool="get_order", arguments=ORDER)) == 'calls get_order with order_id = "A-1007"'
    )
    assert (
        describe(ToolCalled(tool="pay", arguments={"a": 1, "b": [2]})) == "calls pay with a = 1 and b = [2]"
    )
    assert describe(ToolNotCalled(tool="refund_order")) == "never calls refund_order"
    assert describe(NoRepeatedCall()) == "makes no tool call more than 2 times with the same arguments"
    assert describe(NoErrorStatus()) == "ends without an error"
    assert describe(Answered()) == "ends with an answer"


def test_equal_json_values_have_one_canonical_text() -> None:
    assert canonical({"a": 1.0, "b": [True]}) == canonical({"b": [True], "a": 1})
    assert canonical(1) != canonical(value=True)
    assert canonical("1") != canonical(1)


def test_what_is_expected_of_calls_must_hold_of_those_that_reached_the_tools() -> None:
    told, silent = trace(call("refund", ORDER)), trace(**answered("done"))
    reached = told.tool_calls
    assert grade([ToolCalled(tool="refund", arguments=ORDER)], told, reached).passed
    forged = grade([ToolCalled(tool="refund", arguments=ORDER)], told, [])
    said = "its trace tells otherwise, but of what reached the tools: expected a call of refund with"
    assert forged.reasons == (f"{said} {ORDER}: it was never called",)
    assert not grade([ToolNotCalled(tool="refund")], silent, reached).passed
    assert not grade([NoRepeatedCall(most=1)], silent, reached * 2).passed
    assert grade([ToolNotCalled(tool="refund"), NoRepeatedCall(), Answered()], silent, []).passed
