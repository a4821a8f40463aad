"""What a trace used, where spans around others tell of the same tokens again."""

from typing import Any

import pytest

from outerloop.evals.expect.behaviour import AtMost
from outerloop.evals.grade import grade
from outerloop.runtime.prices import Price
from outerloop.trace.model import Span, Trace
from outerloop.triage.facts import facts_of

PRICES = {"m": Price(input=1.0, output=1.0, cache_write=1.0, cache_read=1.0)}


def span(span_id: str, parent: str, **fields: Any) -> Span:
    """A span; its parent comes before it."""
    return Span(trace_id="t", span_id=span_id, parent_span_id=parent, start_ns=len(span_id), **fields)


def call(span_id: str, parent: str, tokens: int) -> Span:
    """A call to a model that was sent so many tokens, and answered with one."""
    used = {"input_tokens": tokens, "output_tokens": 1} if tokens else {}
    return span(span_id, parent, operation="chat", model="m", **used)


ROOT = span("r", "", operation="invoke_agent", model="m", input_tokens=300, output_tokens=3)
STEP = span("rs", "r")

CASES = {
    "beside each other": ([ROOT, call("ra", "r", 100), call("rb", "r", 200)], 2, 300),
    "one around the other": ([ROOT, call("ra", "r", 100), call("rab", "ra", 100)], 1, 100),
    "with a step between": (
        [ROOT, call("ra", "r", 100), span("rab", "ra"), call("rabc", "rab", 100)],
        1,
        100,
    ),
    "a step around both": ([ROOT, STEP, call("rsa", "rs", 100), call("rsb", "rs", 200)], 2, 300),
    "one around several": (
        [ROOT, call("ra", "r", 300), call("rab", "ra", 100), call("rac", "ra", 200)],
        2,
        300,
    ),
    "one beside that tells of none": ([ROOT, call("ra", "r", 300), call("rb", "r", 0)], 2, 300),
    "one beside in a frame, as that failed": (
        [ROOT, call("ra", "r", 300), call("rb", "r", 0), call("rbc", "rb", 0)],
        2,
        300,
    ),
    "tokens outside alone": ([ROOT, call("ra", "r", 100), call("rab", "ra", 0)], 1, 100),
    "the root alone": ([ROOT, call("ra", "r", 0)], 1, 300),
    "the root a call too": ([call("r", "", 300), call("ra", "r", 100), call("rb", "r", 200)], 2, 300),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_a_span_around_others_tells_again_is_counted_once(case: str) -> None:
    spans, calls, tokens = CASES[case]
    trace = Trace.of(spans)
    assert len(trace.counted_calls) == calls
    facts = facts_of(trace, PRICES)
    assert facts.input_tokens == tokens
    assert facts.unpriced_tokens == 0
    assert facts.usd == pytest.approx(
        PRICES["m"].input * facts.input_tokens / 1e6 + facts.output_tokens / 1e6
    )


def test_a_limit_counts_a_call_once() -> None:
    trace = Trace.of([ROOT, call("ra", "r", 100), call("rab", "ra", 100)])
    assert grade([AtMost(model_calls=1, tokens=101)], trace).passed
    assert not grade([AtMost(tokens=100)], trace).passed


def test_calls_that_tell_of_no_tokens_are_under_the_limit_too() -> None:
    trace = Trace.of([ROOT, call("ra", "r", 100), *(call(f"r{n}", "r", 0) for n in range(9))])
    assert not grade([AtMost(model_calls=9)], trace).passed
    assert grade([AtMost(model_calls=10)], trace).passed


def test_spans_in_a_circle_end() -> None:
    assert Trace.of([call("a", "b", 1), call("b", "a", 1)]).counted_calls == ()
    assert Trace.of([call("a", "a", 1)]).counted_calls == ()
