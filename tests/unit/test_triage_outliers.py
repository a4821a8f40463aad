"""What is usual for an agent, and which span shows that a trace is not."""

import math

from outerloop.runtime.prices import Price
from outerloop.trace.model import Span, Trace
from outerloop.triage.core.outliers import LEAST_TRACES, Usual, dear, slow, usual_of, wordy

MS = 1_000_000
PRICES = {
    "big": Price(input=10, output=10, cache_write=10, cache_read=10),
    "small": Price(input=1, output=1, cache_write=1, cache_read=1),
}


def span(
    number: int, parent: int, name: str, took_ms: int, *, model: str = "", tokens: int = 0, tool: str = ""
) -> Span:
    return Span(
        trace_id="t",
        span_id=str(number),
        parent_span_id=str(parent) if parent else "",
        name=name,
        start_ns=number,
        end_ns=number + took_ms * MS,
        operation="chat" if model else "execute_tool" if tool else "invoke_agent",
        model=model,
        tool=tool,
        input_tokens=tokens,
    )


TRACE = Trace.of(
    [
        span(1, 0, "root", 1000),
        span(2, 1, "chat", 200, model="big", tokens=100),
        span(3, 1, "search", 700, tool="search"),
        span(4, 3, "chat", 50, model="small", tokens=500),
    ]
)


def test_what_is_usual_is_not_moved_by_what_is_not() -> None:
    quiet = [1.0 + n / 1000 for n in range(100)]
    usual = usual_of(quiet)
    assert usual is not None
    assert math.isclose(usual.median, 1.05, rel_tol=0.01)
    assert math.isclose(usual.limit, 2 * usual.median)  # all are alike: twice is the least that is unusual
    with_wild_ones = usual_of([*quiet, *[1e6] * 20])
    assert with_wild_ones is not None
    assert math.isclose(with_wild_ones.limit, usual.limit, rel_tol=0.05)


def test_where_traces_differ_much_more_is_usual() -> None:
    skewed = [math.exp(n / 20) for n in range(100)]  # 1 to 141, evenly in their logarithms
    usual = usual_of(skewed)
    assert usual is not None
    assert usual.limit > max(skewed)


def test_too_few_say_nothing_and_what_costs_nothing_neither() -> None:
    assert usual_of([1.0] * (LEAST_TRACES - 1)) is None
    assert usual_of([0.0] * 1000) is None
    assert usual_of([1.0] * LEAST_TRACES) is not None


def test_the_span_that_took_most_for_itself_shows_that_it_was_slow() -> None:
    (found,) = slow(TRACE, 1.0, Usual(0.1, 0.5))
    assert (found.kind, found.subject, found.span_id) == ("latency_outlier", "search", "3")
    assert (found.value, found.usual) == (1.0, 0.1)
    assert list(slow(TRACE, 0.5, Usual(0.1, 0.5))) == []


def test_the_call_with_most_tokens_and_the_dearest_call_show_it() -> None:
    (found,) = wordy(TRACE, 600.0, Usual(100.0, 200.0))
    assert (found.kind, found.subject, found.span_id) == ("token_outlier", "small", "4")
    (found,) = dear(TRACE, 0.0015, Usual(0.0001, 0.001), PRICES)
    assert (found.kind, found.subject, found.span_id) == ("cost_outlier", "big", "2")
    assert list(dear(TRACE, 0.0001, Usual(0.0001, 0.001), PRICES)) == []
