"""Healthy runs that are broken on purpose, and what names a case carried over to another."""

from typing import Any

import pytest

from outerloop.draft.core.carry import carried, carried_arguments, named_in_request
from outerloop.draft.core.case import caught, on_case_of
from outerloop.draft.core.measure import Draft, Failing, Undraftable, broken_runs, measured
from outerloop.draft.core.mutants import REFUSAL, mutants
from outerloop.draft.core.proof import draft
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.grade import grade
from outerloop.trace.model import Trace
from outerloop.triage.core.signals import signals_of
from samples import Call, run, trace

LOOK, CANCEL = Call("get_order", {"id": "A-7"}), Call("cancel", {"id": "A-7", "why": "late"})


def healthy(number: int, order: str = "A-7") -> Trace:
    calls = (Call("get_order", {"id": order}), Call("cancel", {"id": order, "why": "late"}))
    return trace(run(number, f"Please cancel my order {order}", *calls))


def failing(number: int, order: str) -> Failing:
    bad = Call("get_order", {"id": order.removeprefix("A-")}, "bad id", failed=True)
    made = trace(run(number, f"Please cancel my order {order}", bad, answer="Sorry."))
    return Failing(made, signals_of(made, [])[0])


@pytest.mark.parametrize(
    ("value", "here", "there", "expected"),
    [
        pytest.param("A-1031", "cancel A-1031", "cancel B-22", "B-22", id="an id"),
        pytest.param("A-1031", "cancel 1031", "cancel 22", "A-22", id="its prefix is not in the request"),
        pytest.param("A-1031", "cancel A-1031", "cancel 22", "A-22", id="its prefix is not in the other"),
        pytest.param(1031, "cancel 1031", "cancel 22", 22, id="a number stays one"),
        pytest.param("A-1", "cancel A-1", "cancel A-2 or A-3", None, id="which of two cannot be told"),
        pytest.param("A-1", "cancel A-1", "cancel A-2, yes A-2", "A-2", id="the same twice"),
        pytest.param("A-1", "cancel it", "cancel A-2", None, id="not in the request"),
        pytest.param("Lisbon", "fly to Lisbon", "fly to Rome", None, id="no id"),
        pytest.param(True, "True", "True", None, id="no text"),
        pytest.param("a1@b.io", "I am a1@b.io", "I am c22@dd.io", "c22@dd.io", id="an address"),
        pytest.param("(1+", "is (1+ ok", "is (2+ ok", "(2+", id="hostile"),
    ],
)
def test_what_names_a_case_is_carried_over(value: Any, here: str, there: str, expected: Any) -> None:
    assert carried(value, here, there) == expected


def test_arguments_that_cannot_be_carried_are_left_out() -> None:
    assert carried_arguments({"id": "A-1", "why": "late"}, "order A-1", "order A-2") == {"id": "A-2"}


def test_only_what_the_request_names_once_names_the_case() -> None:
    assert named_in_request(healthy(1), "cancel") == {"id": "A-7"}
    assert named_in_request(healthy(1), "refund") == {}


def test_every_way_to_break_a_run() -> None:
    made = mutants(healthy(1), ["get_order", "cancel"], failing(2, "A-9").trace, "0" * 15 + "2")
    assert [(m.way, m.what) for m in made] == [
        ("call dropped", "it does not call get_order"),
        ("call dropped", "it does not call cancel"),
        ("argument changed", "it calls get_order with another id"),
        ("argument changed", "it calls cancel with another id"),
        ("answer emptied", "its answer is empty"),
        ("refusal", "it refuses"),
        ("the failure", "it calls get_order as the failing run does"),
    ]
    by_what = {m.what: m.trace for m in made}
    assert [c.name for c in by_what["it does not call cancel"].tool_calls] == ["get_order"]
    other = by_what["it calls cancel with another id"].tool_calls[1]
    assert other.arguments == {"id": "A-8", "why": "late"}
    assert by_what["its answer is empty"].answer == ""
    refused = by_what["it refuses"]
    assert (refused.answer, [c.name for c in refused.tool_calls]) == (REFUSAL, ["get_order"])
    again = by_what["it calls get_order as the failing run does"].tool_calls[-1]
    assert (again.arguments, again.failed) == ({"id": "7"}, True)


def test_a_change_of_state_is_added_that_the_run_did_not_make() -> None:
    made = mutants(healthy(1), [], failing(2, "A-9").trace, "", ["cancel", "refund"])
    assert (made[-1].way, made[-1].what) == ("change added", "it calls refund as well")
    assert made[-1].trace.tool_calls[-1].name == "refund"


def test_what_a_healthy_run_is_without_being_broken_is_no_fault_of_a_mutant() -> None:
    asked = "Please cancel my order A-7"
    odd = {
        "it does not call get_order": trace(run(9, asked, CANCEL)),
        "it calls cancel with another id": trace(run(9, asked, LOOK, Call("cancel", {"id": "A-9"}))),
        "its answer is empty": trace(run(9, asked, LOOK, CANCEL, answer="")),
        "it refuses": trace(run(9, asked, LOOK, answer=REFUSAL)),
        "it calls get_order as the failing run does": trace(
            run(9, asked, LOOK, CANCEL, Call("get_order", {"id": "7"}, "bad id", failed=True))
        ),
        "it calls refund as well": trace(run(9, asked, LOOK, CANCEL, Call("refund"))),
    }
    made = mutants(healthy(1), ["get_order", "cancel"], failing(2, "A-9").trace, "0" * 15 + "2", ["refund"])
    assert set(odd) < {m.what for m in made}
    for what, run_so in odd.items():
        (mutant,) = [m for m in made if m.what == what]
        assert mutant.equivalent([healthy(3), run_so])
        assert not mutant.equivalent([healthy(3), healthy(4, "A-4")])


def test_equivalent_mutants_are_counted_apart() -> None:
    # Some healthy runs do not look first: one that was made not to is no worse.
    hasty = [
        trace(run(n, f"Please cancel my order A-{n}", Call("cancel", {"id": f"A-{n}"}))) for n in (80, 81)
    ]
    good = [healthy(n, f"A-{n}") for n in range(50, 58)]
    failed = failing(1, "A-1")
    every = measured(failed, (ToolCalled(tool="cancel"),), good, [failed])
    some = measured(failed, (ToolCalled(tool="cancel"),), good, [failed], known=[*good, *hasty])
    assert every.equivalent == 0
    assert some.equivalent == 2 * 5  # without get_order, and with another id there
    assert some.mutants == every.mutants - some.equivalent
    assert not any("get_order" in survivor for survivor in some.survivors if "dropped" in survivor)


def test_a_change_that_is_added_is_none_that_was_asked_for() -> None:
    failure = trace(run(2, "Please cancel my order A-9", Call("cancel", {"id": "A-9"}), answer=""))
    run_ = trace(run(1, "Please cancel my order A-7", LOOK))
    made, _ = broken_runs([run_], failure, "", [run_], ["cancel", "refund"])
    assert [m.what for m in made if m.way == "change added"] == ["it calls refund as well"]


def test_a_failure_of_the_whole_run_is_one_of_the_mutants() -> None:
    crashed = trace(run(2, "Please cancel my order A-9", error="boom"))
    made = mutants(healthy(1), [], crashed, crashed.root.span_id)
    assert [m.what for m in made] == ["its answer is empty", "it refuses", "it ends with an error"]
    assert made[-1].trace.root.failed


def test_an_eval_is_held_against_another_case_by_what_that_one_is_about() -> None:
    expect = (ToolCalled(tool="cancel", arguments={"id": "A-9"}),)
    exemplar, other = failing(2, "A-9").trace, healthy(1)
    assert not grade(expect, other).passed
    assert grade(on_case_of(other, expect, exemplar), other).passed
    assert caught(expect, exemplar, failing(3, "A-5").trace)


def test_a_draft_asks_for_the_case_at_hand_and_kills_what_does_not() -> None:
    made = draft([failing(n, f"A-{n}") for n in range(1, 4)], [healthy(n, f"A-{n}") for n in range(50, 58)])
    assert isinstance(made, Draft)
    asked = [e for e in made.expect if isinstance(e, ToolCalled)]
    assert [(e.tool, e.arguments) for e in asked] == [
        ("get_order", {"id": "A-1"}),
        ("cancel", {"id": "A-1"}),
    ]
    assert (made.failing_caught, made.failing) == (3, 3)
    assert (made.healthy_passed, made.healthy) == (5, 5)  # of eight, three of which had a part in choosing
    assert made.mutants == 5 * 7
    assert made.survivors == ()  # also where the right call was made before the failing one


def test_what_many_healthy_runs_do_not_do_cannot_be_expected() -> None:
    # The nearest five all look first, as the exemplar should have; most of those beyond do not.
    near = [healthy(n) for n in range(50, 55)]
    far = [trace(run(n, "Please cancel my order A-7 and thanks", answer="Done.")) for n in range(60, 80)]
    made = draft([failing(1, "A-7")], [*near, *far])
    assert made == Undraftable("what it would expect, 20 of 22 healthy runs do not do either")
