"""Which traces are judged bad, by which sign."""

import pytest

from outerloop.trace.evaluation import Evaluation, evaluations_of
from outerloop.trace.model import Span, Trace
from outerloop.triage.core.signals import DETAIL_CHARACTERS, signals_of
from samples import Call, evaluation, run, trace

ORDER = Call("get_order", {"id": "A-1"}, "found")
FAILED = Call("get_order", {"id": "1"}, "invalid order id '1'", failed=True)


def kinds(judged: Trace, *said: Evaluation) -> list[tuple[str, str]]:
    return [(s.kind, s.subject) for s in signals_of(judged, said)]


def said(label: str = "", *, score: float | None = None, name: str = "quality") -> Evaluation:
    (result,) = evaluations_of(evaluation(1, name, label, score=score, said="too late"))
    return result


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(run(1, "Hi"), id="no tools"),
        pytest.param(run(1, "Hi", ORDER), id="a tool"),
        pytest.param(run(1, "Hi", FAILED, ORDER), id="recovered from an error"),
        pytest.param(run(1, "Hi", ORDER, ORDER), id="twice may help"),
        pytest.param(
            run(1, "Hi", *[Call("wait", {}, f"{n} %") for n in range(5)]), id="the same call, other results"
        ),
        pytest.param(
            run(1, "Hi", *[Call("get", {"n": n}, "ok") for n in range(5)]), id="other arguments, same result"
        ),
        pytest.param(run(1, "Hi", Call("read", {}, "the error was mended")), id="error further on"),
    ],
)
def test_a_good_run_has_no_sign(good: object) -> None:
    assert kinds(trace(good)) == []  # type: ignore[arg-type]


def test_the_same_call_a_third_time_is_a_sign() -> None:
    (sign,) = signals_of(trace(run(1, "Hi", ORDER, ORDER, Call("other"), ORDER)), [])
    assert (sign.kind, sign.subject, sign.span_id) == ("repeated_call", "get_order", "0000000000000002")
    assert sign.detail == 'called 3 times with {"id": "A-1"}; every time: found'


def test_key_order_does_not_make_another_call() -> None:
    calls = [Call("get", {"a": 1, "b": 2}), Call("get", {"b": 2, "a": 1}), Call("get", {"a": 1, "b": 2})]
    assert kinds(trace(run(1, "Hi", *calls))) == [("repeated_call", "get")]


@pytest.mark.parametrize(
    "call",
    [
        FAILED,
        Call("get_order", {}, '{"error": "no such order"}'),
        Call("get_order", {}, ' { "Error": {"code": 404}}'),
        Call("get_order", {}, "Error: no such order"),
    ],
)
def test_a_tool_that_failed_last_is_a_sign(call: Call) -> None:
    assert kinds(trace(run(1, "Hi", ORDER, Call("other"), call))) == [("tool_error", "get_order")]


def test_a_run_that_ends_with_an_error_is_a_sign() -> None:
    (sign,) = signals_of(trace(run(1, "Hi", error="context too long")), [])
    assert (sign.kind, sign.subject, sign.detail) == ("error_status", "invoke_agent", "context too long")


def test_a_run_without_a_word_is_a_sign_where_outputs_are_recorded() -> None:
    assert kinds(trace(run(1, "Hi", ORDER, answer=""))) == [("empty_answer", "invoke_agent")]
    silent = Span(trace_id="t", span_id="1", operation="chat")
    assert kinds(Trace.of([silent])) == []  # content is not recorded at all


@pytest.mark.parametrize(
    ("result", "bad"),
    [
        (said("fail"), True),
        (said("pass"), False),
        (said(score=0), True),
        (said(score=1), False),
    ],
)
def test_an_evaluator_may_call_it_bad(result: Evaluation, bad: bool) -> None:  # noqa: FBT001
    assert kinds(trace(run(1, "Hi", ORDER)), result) == ([("evaluation", "quality")] if bad else [])


def test_the_most_telling_sign_comes_first() -> None:
    broken = trace(run(1, "Hi", FAILED, FAILED, FAILED, answer="", error="gave up"))
    assert [kind for kind, _ in kinds(broken, said("fail"))] == [
        "repeated_call",
        "evaluation",
        "tool_error",
        "error_status",
        "empty_answer",
    ]


def test_a_detail_is_one_line_of_bounded_length() -> None:
    (sign,) = signals_of(trace(run(1, "Hi", Call("get", {}, "a\n\tb " * 1000, failed=True))), [])
    assert sign.detail.startswith("a b a b")
    assert len(sign.detail) == DETAIL_CHARACTERS
