"""Held-out variants: which there are of a draft, and what is none."""

import json

import pytest

from outerloop.draft.core.measure import Draft, Failing
from outerloop.draft.core.proof import draft
from outerloop.draft.core.variants import recast, recorded, reworded
from outerloop.evals.expect.tools import ToolCalled, ToolNotCalled
from outerloop.evals.grade import grade
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal
from outerloop.triage.core.signals import signals_of
from samples import Call, run, trace

WAYS = (
    "Please cancel my order {}",
    "I want to cancel my order {} now please",
    "could you please cancel order {} of my lamp",
    "cancel my order {} please, it is late",
    "my order {}: please cancel it today",
)


SEED = "eval-1"


def order(number: int) -> str:
    return f"A-{number:04}"


def asks(number: int) -> str:
    return WAYS[number % len(WAYS)].format(order(number))


def looked(number: int) -> Call:
    return Call("get_order", {"id": order(number)}, json.dumps({"id": order(number), "state": "open"}))


def cancelled(number: int) -> Call:
    return Call("cancel", {"id": order(number)})


def healthy(number: int, *calls: Call) -> Trace:
    return trace(run(number, asks(number), looked(number), *(calls or [cancelled(number)])))


def silent(number: int) -> Failing:
    """It does everything, and says nothing."""
    failed = trace(run(number, asks(number), looked(number), cancelled(number), answer=""))
    return Failing(failed, signals_of(failed, [])[0])


def blamed(number: int) -> Failing:
    """It cancels what it should not have, as an evaluator says."""
    failed = trace(run(number, asks(number), looked(number), cancelled(number)))
    return Failing(failed, Signal("evaluation", "policy", "fail: no", ""))


HEALTHY = [healthy(number) for number in range(2000, 2006)]
KEPT = [healthy(number, Call("note")) for number in range(2000, 2006)]


def drafted(failing: list[Failing], good: list[Trace]) -> Draft:
    made = draft(failing, good)
    assert isinstance(made, Draft)
    return made


def test_other_recorded_failures_are_variants_on_their_own_case() -> None:
    failing = [silent(number) for number in range(1000, 1007)]
    made = drafted(failing, HEALTHY)
    found = recorded(made, failing, HEALTHY, 3)
    assert len(found) == 3
    for each in found:
        told = next(f.trace for f in failing if f.trace.trace_id == each.variant.source_trace)
        variant = each.variant
        assert variant.input == {"messages": told.input_messages}
        assert ToolCalled(tool="cancel", arguments=dict(told.tool_calls[1].arguments)) in variant.expect
        assert [call.arguments for call in each.cassette.calls] == [
            call.arguments for call in told.tool_calls
        ]
        assert not grade(variant.expect, told).passed
        assert not grade(variant.expect, made.exemplar).passed


def test_half_of_the_failures_are_left_for_the_proposer_and_those_are_the_oldest() -> None:
    failing = [silent(number) for number in range(1000, 1005)]
    made = drafted(failing, HEALTHY)
    found = recorded(made, failing, HEALTHY, 20)
    others = [f.trace.trace_id for f in failing if f.trace != made.exemplar]
    assert [each.variant.source_trace for each in found] == others[:1:-1]


def test_other_words_come_before_the_same_about_another_case() -> None:
    # Newest first, all but one are worded as the exemplar is.
    failing = [silent(number) for number in (1000, 1001, 1005, 1010, 1015)]
    made = drafted(failing[:1], HEALTHY)
    (first, second) = recorded(made, failing, HEALTHY, 2)
    asked = [each.variant.input["messages"][0]["parts"][0]["content"] for each in (first, second)]
    assert asked == [asks(1001), asks(1015)]


def test_what_is_forbidden_is_so_in_the_variants_own_case() -> None:
    failing = [blamed(number) for number in range(1000, 1005)]
    made = drafted(failing, KEPT)
    (first, *_) = recorded(made, failing, KEPT, 3)
    told = next(f.trace for f in failing if f.trace.trace_id == first.variant.source_trace)
    assert first.variant.expect[0] == ToolNotCalled(
        tool="cancel", arguments=dict(told.tool_calls[1].arguments)
    )


def test_the_same_request_again_is_no_variant() -> None:
    failing = [silent(1000), *(Failing(again(1000, n), silent(1000).sign) for n in (1001, 1002))]
    assert recorded(drafted(failing, HEALTHY), failing, HEALTHY, 3) == []


def again(number: int, as_run: int) -> Trace:
    return trace(run(as_run, asks(number), looked(number), cancelled(number), answer=""))


def test_a_failure_whose_case_cannot_be_told_is_no_variant() -> None:
    failing = [silent(1000)]
    for number, wish in enumerate(("Please cancel my order", "cancel my order please, it is late"), 1001):
        told = trace(run(number, wish, looked(number), cancelled(number), answer=""))
        failing.append(Failing(told, silent(1000).sign))
    made = drafted(failing[:1], HEALTHY)
    assert recorded(made, failing, HEALTHY, 3) == []


def test_with_other_ids_it_is_the_same_failure_in_request_recording_and_expectations() -> None:
    made = drafted([silent(1000)], HEALTHY)
    found = recast(made, HEALTHY, SEED)
    assert found is not None
    variant, text = found.variant, json.dumps(found.variant.model_dump(mode="json"))
    (wish,) = [part["content"] for part in variant.input["messages"][0]["parts"]]
    other = wish.split()[-1]
    assert other != "A-1000"
    assert wish == f"Please cancel my order {other}"
    assert "1000" not in text + found.cassette.to_jsonl()
    assert [call.arguments for call in found.cassette.calls] == [{"id": other}, {"id": other}]
    assert json.loads(found.cassette.calls[0].result)["id"] == other
    assert ToolCalled(tool="cancel", arguments={"id": other}) in variant.expect
    assert recast(made, HEALTHY, SEED) == found


def test_what_the_recording_does_not_hold_is_not_asked_about_another_id() -> None:
    # A good run cancels, and of that the recording of the failing one says nothing.
    failed = trace(run(1000, asks(1000), looked(1000), answer=""))
    made = drafted([Failing(failed, silent(1000).sign)], HEALTHY)
    assert recast(made, HEALTHY, SEED) is None


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("My order is A-1000. Cancel it, would you?", True),
        ("Please  cancel my order A-1000", False),
        ("Please cancel my order A-1001", False),
        ("Please cancel my order", False),
        ("Please cancel my orders A-1000 and A-1001", False),
        ("Cancel A-1000. " + "Now! " * 200, False),
    ],
)
def test_other_words_must_be_of_the_same_case(*, text: str, good: bool) -> None:
    made = drafted([silent(1000)], HEALTHY)
    found = reworded(made, text)
    assert (found is not None) is good
    if found is not None:
        assert found.variant.input["messages"][0]["parts"][0]["content"] == text
        assert found.variant.expect == ()  # the eval's own
