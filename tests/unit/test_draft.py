"""What an eval expects, and when there is none."""

import time
from typing import Any

import pytest

from outerloop.draft.core.case import case_of
from outerloop.draft.core.measure import Draft, Failing, Undraftable
from outerloop.draft.core.proof import draft
from outerloop.draft.core.recipe import Tools, Wanted, expectations
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.behaviour import Finished, NoErrorStatus
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.composite import AnyOf, Expectation, Not
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.expect.tools import Call as Made
from outerloop.evals.expect.tools import NoRepeatedCall, ToolCalled, ToolNotCalled, ToolSucceeds
from outerloop.evals.grade import grade
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal
from outerloop.triage.core.signals import signals_of
from samples import Call, attributes, run, trace

CANCEL = "Please cancel my order A-1"
ORDER, CANCELLED = Call("get_order", {"id": "A-1"}), Call("cancel", {"id": "A-1"})
ERROR = Call("get_order", {"id": "1"}, "bad id", failed=True)
NOT_REFUSED = Not(of=Refused())
END = (NoErrorStatus(), Answered(), NOT_REFUSED)
LOOKED, CANCELS = (ToolCalled(tool=tool, arguments={"id": "A-1"}) for tool in ("get_order", "cancel"))
CANCELS_ONLY = StateChanges(tools=("cancel",), calls=(Made(tool="cancel", arguments={"id": "A-1"}),))
SUCCEEDS = ToolSucceeds(tool="get_order")
NOT_CANCELLED = ToolNotCalled(tool="cancel", arguments={"id": "A-1"})


def bad(number: int, *calls: Call, asked: str = CANCEL, answer: str = "Sorry.") -> Failing:
    failed = trace(run(number, asked, *calls, answer=answer))
    return Failing(failed, signals_of(failed, [])[0])


def blamed(number: int, *calls: Call, asked: str = CANCEL) -> Failing:
    return Failing(trace(run(number, asked, *calls)), Signal("evaluation", "policy", "fail: no", ""))


def good(number: int, *calls: Call, asked: str = CANCEL, answer: str = "Done.") -> Trace:
    return trace(run(number, asked, *calls, answer=answer))


HEALTHY = [good(n, ORDER, CANCELLED) for n in range(100, 103)]


def sign(kind: str, subject: str = "get_order") -> Signal:
    return Signal(kind, subject, "", "")


@pytest.mark.parametrize(
    ("kind", "own", "beside"),
    [
        ("tool_error", ToolCalled(tool="get_order"), (SUCCEEDS, *END)),
        ("repeated_call", NoRepeatedCall(), END),
        ("error_status", NoErrorStatus(), (Answered(), NOT_REFUSED)),
        ("empty_answer", Answered(), (NoErrorStatus(), NOT_REFUSED)),
        ("truncated", Finished(), (NOT_REFUSED,)),
        ("evaluation", NOT_CANCELLED, END),
    ],
)
def test_a_sign_has_its_recipe(kind: str, own: Expectation, beside: tuple[Expectation, ...]) -> None:
    failing = trace(run(1, CANCEL, ORDER, CANCELLED, Call("refund", failed=True)))
    wanted = expectations(failing, sign(kind), [])
    assert (wanted.own[0], wanted.beside) == (own, beside)


def cut_off(number: int) -> Trace:
    exported = run(number, "Tell me about the shop", answer="It was founded in 1902, when the")
    chat = exported.resource_spans[0].scope_spans[0].spans[-1]
    chat.attributes.extend(attributes(gen_ai__response__finish_reasons='["length"]'))
    return trace(exported)


def test_words_that_were_cut_off_are_told_from_an_answer() -> None:
    failing = [Failing(seen, signals_of(seen, [])[0]) for seen in map(cut_off, range(1, 4))]
    assert {each.sign.kind for each in failing} == {"truncated"}
    healthy = [good(n, asked="Tell me about the shop", answer="It is old.") for n in range(100, 103)]
    made = draft(failing, healthy)
    assert isinstance(made, Draft)
    assert made.expect[0] == Finished()


def test_what_all_neighbours_call_is_expected_too() -> None:
    failing = trace(run(1, CANCEL, ERROR))
    wanted = expectations(failing, sign("tool_error"), HEALTHY)
    weaker = (ToolCalled(tool="get_order"), SUCCEEDS)
    assert wanted == Wanted((LOOKED, *weaker), (SUCCEEDS, CANCELS, *END))
    one = HEALTHY[:1]  # could agree by chance
    assert expectations(failing, sign("tool_error"), one) == Wanted(weaker, (SUCCEEDS, *END))


def test_what_changes_state_is_compared_as_a_whole() -> None:
    failing = trace(run(1, CANCEL, ERROR))
    wanted = expectations(failing, sign("tool_error"), HEALTHY, Tools(["cancel", "refund"]))
    calls = CANCELS_ONLY.calls
    assert wanted.beside[1:] == (CANCELS, StateChanges(tools=("cancel", "refund"), calls=calls), *END)


def test_a_tool_that_not_every_request_needs_must_succeed_if_it_is_called() -> None:
    healthy = [good(n, CANCELLED) for n in range(100, 104)]
    made = draft([Failing(trace(run(1, CANCEL, ERROR, CANCELLED)), sign("tool_error"))], healthy)
    assert isinstance(made, Draft)
    assert made.expect[0] == SUCCEEDS


def test_what_healthy_runs_do_and_the_failing_one_did_not_says_enough() -> None:
    made = draft([blamed(1)], HEALTHY)
    assert isinstance(made, Draft)
    assert made.expect == (LOOKED, CANCELS, CANCELS_ONLY, *END[:2])


def test_of_a_sign_that_is_not_known_here_the_call_that_it_points_to_is_forbidden() -> None:
    failing = trace(run(1, CANCEL, ORDER, Call("refund", {"id": "A-1", "why": "x"})))
    shown = Signal("some_new_kind", "refund", "", failing.tool_calls[1].span_id)
    wanted = expectations(failing, shown, HEALTHY)
    assert wanted.own[0] == ToolNotCalled(tool="refund", arguments={"id": "A-1"})
    made = draft([Failing(failing, shown)], HEALTHY)
    assert isinstance(made, Draft)
    assert made.expect[0] == wanted.own[0]


def test_how_something_is_looked_up_is_not_prescribed() -> None:
    # All of these healthy runs search, and one also asks the calendar: neither names the case.
    search, day = Call("search_events", {"query": "dinner"}), Call("get_day_events")
    healthy = [good(100, search, day), good(101, search), good(102, search)]
    wanted = expectations(trace(run(1, CANCEL)), sign("empty_answer", "the run"), healthy)
    ways = tuple(ToolCalled(tool=tool) for tool in ("search_events", "get_day_events"))
    assert wanted.beside[0] == AnyOf(of=ways)


def test_an_agent_that_may_say_no_must_have_looked_before_it_does() -> None:
    search, day = Call("search_events", {"query": "dinner"}), Call("get_day_events")
    healthy = [good(100, search, day), good(101, search), good(102, search)]
    no = trace(run(200, "How is the weather in Lisbon?", answer="I'm sorry, but I can't help with that."))
    made = draft([bad(1, search, answer="")], [*healthy, no])
    assert isinstance(made, Draft)
    assert NOT_REFUSED not in made.expect
    assert made.expect[-1] == AnyOf(of=(NOT_REFUSED, ToolCalled(tool="search_events")))
    refusal = "I'm sorry, but I can't help with that."
    assert not grade(made.expect, trace(run(2, CANCEL, answer=refusal))).passed
    assert grade(made.expect, trace(run(3, CANCEL, search, answer=refusal))).passed


def test_any_other_way_to_look_up_the_same_thing_is_as_good() -> None:
    healthy = [good(n, Call("get_day_events")) for n in range(100, 103)]
    known = Tools(reads=["find_contact", "search_events", "get_day_events"])
    wanted = expectations(trace(run(1, CANCEL)), sign("empty_answer", "the run"), healthy, known)
    ways = tuple(ToolCalled(tool=tool) for tool in ("get_day_events", "search_events"))
    assert wanted.beside[0] == AnyOf(of=ways)


def test_what_healthy_runs_on_the_very_request_agree_on_is_asked_of_a_deed() -> None:
    def moved(number: int, title: str, to: str = "2024-05-20 10:00", asked: str = CANCEL) -> Trace:
        return good(number, Call("reschedule", {"event": "6", "to": to, "title": title}), asked=asked)

    failing = trace(run(1, CANCEL))
    agreeing = [moved(n, f"title {n}") for n in (100, 101)]
    wanted = expectations(failing, sign("empty_answer", "the run"), agreeing)
    told = {"event": "6", "to": "2024-05-20 10:00"}
    assert wanted.beside[0] == ToolCalled(tool="reschedule", arguments=told)
    # Of another request nothing of it is asked; and not all agree on the time.
    others = [*agreeing, moved(102, "t", "1999-01-01", "cancel my other order A-2"), moved(103, "t", "now 1")]
    wanted = expectations(failing, sign("empty_answer", "the run"), others)
    assert wanted.beside[0] == ToolCalled(tool="reschedule", arguments={"event": "6"})


def test_what_runs_on_such_requests_change_in_more_than_one_way_is_left_to_them() -> None:
    failing = [bad(n, ERROR) for n in range(1, 4)]
    healthy = [good(n, ORDER, CANCELLED) for n in range(100, 110)]
    noted = [good(n, ORDER, CANCELLED, Call("add_note", {"id": "A-1"})) for n in range(110, 114)]
    made = draft(failing, [*healthy, *noted])
    assert isinstance(made, Draft)
    assert CANCELS in made.expect
    assert not any(isinstance(e, StateChanges) for e in made.expect)


def test_of_evals_that_say_as_much_the_one_that_more_healthy_runs_prove() -> None:
    refund = "I want a refund for this broken lamp A-1, as you had promised"
    few = [bad(n, ERROR, asked=refund) for n in (1, 2)]
    few_good = [good(n, ORDER, CANCELLED, asked=refund) for n in range(50, 53)]
    many = [bad(n, ERROR) for n in range(3, 7)]
    made = draft([*few, *many], [*few_good, *(good(n, ORDER, CANCELLED) for n in range(100, 108))])
    assert isinstance(made, Draft)
    assert made.exemplar == many[0].trace


def test_a_tool_that_must_not_be_called_is_not_expected_as_well() -> None:
    failing = trace(run(1, CANCEL, ORDER, CANCELLED))
    assert expectations(failing, sign("evaluation"), HEALTHY) == Wanted((NOT_CANCELLED,), (LOOKED, *END))


@pytest.mark.parametrize("kind", ["evaluation", "something_new"])
def test_where_nothing_exact_can_be_said_nothing_is(kind: str) -> None:
    assert expectations(trace(run(1, CANCEL)), sign(kind), HEALTHY).own == ()


def test_a_draft_fails_on_the_failure_and_passes_on_healthy_runs() -> None:
    failing = [bad(n, ERROR) for n in range(1, 4)]
    made = draft(failing, HEALTHY)
    assert isinstance(made, Draft)
    assert made.exemplar == failing[0].trace
    assert made.expect == (LOOKED, SUCCEEDS, CANCELS, CANCELS_ONLY, *END)
    assert (made.failing_caught, made.failing, made.healthy_passed, made.healthy) == (3, 3, 1, 1)
    assert not grade(made.expect, made.exemplar).passed
    assert all(grade(made.expect, healthy).passed for healthy in HEALTHY)


def test_an_expectation_that_healthy_runs_do_not_meet_is_left_out() -> None:
    # It looks a third time, as healthy runs do: what is wrong is the error alone.
    loop = [Call("poll", {}, "wait")] * 3
    healthy = [good(n, ORDER, CANCELLED, *loop) for n in range(100, 103)]
    made = draft([Failing(trace(run(1, CANCEL, *loop, ERROR)), sign("repeated_call", "poll"))], healthy)
    assert isinstance(made, Draft)
    assert made.expect == (
        LOOKED,
        CANCELS,
        ToolCalled(tool="poll"),
        CANCELS_ONLY,
        *END[:2],
    )


def test_another_requests_arguments_are_not_asked_of_healthy_runs() -> None:
    others = [good(n, ORDER, Call("cancel", {"id": f"B-{n}"})) for n in range(100, 103)]
    made = draft([blamed(1, ORDER, CANCELLED)], others)
    assert isinstance(made, Draft)
    assert made.expect[0] == ToolNotCalled(tool="cancel", arguments={"id": "A-1"})


def test_the_exemplar_is_of_the_kind_of_request_that_fails_most_often() -> None:
    # Cancelling mostly works, refunding never: the refund is what fails for a cause.
    chance = bad(1, ERROR)
    cause = [bad(n, ERROR, asked="I want a refund for this broken lamp") for n in (2, 3)]
    made = draft([chance, *cause], HEALTHY)
    assert isinstance(made, Draft)
    assert made.exemplar == cause[0].trace
    assert made.failing == 3


def test_what_hardly_ever_fails_is_no_exemplar_however_much_its_eval_says() -> None:
    silent = bad(1, ORDER, CANCELLED, answer="")  # one of three
    always = [bad(n, answer="", asked="Do you ship this to Lisbon?") for n in (2, 3)]
    made = draft([silent, *always], [*HEALTHY[:2], *(good(n, asked="Are you open?") for n in range(50, 60))])
    assert isinstance(made, Draft)
    assert made.exemplar == always[0].trace


def test_among_equals_the_one_that_says_most_then_the_oldest() -> None:
    # Of a silent run it says nothing about a tool that must answer in the end.
    says_most = [bad(n, ERROR) for n in (2, 3)]
    made = draft([bad(1, ORDER, CANCELLED, answer=""), *says_most], HEALTHY)
    assert isinstance(made, Draft)
    assert made.exemplar == says_most[0].trace


def test_a_run_of_any_kind_is_compared_where_no_like_request_goes_well() -> None:
    weather = [good(n, ORDER, asked="How is the weather in Lisbon?") for n in range(100, 110)]
    made = draft([bad(1, ERROR)], weather)
    assert isinstance(made, Draft)
    assert made.healthy == 2  # of five, three of which had a part in choosing


def test_another_flaw_on_the_same_kind_of_request_is_none_of_its_business() -> None:
    # Two flaws, each on half of all runs: each eval must let the change for it pass
    crashed = [trace(run(n, CANCEL, ORDER, CANCELLED, error="boom")) for n in range(11, 14)]
    silent = [bad(n, ORDER, CANCELLED, answer="") for n in range(1, 4)]
    made = draft(silent, HEALTHY, crashed)
    assert isinstance(made, Draft)
    assert made.expect == (Answered(), LOOKED, CANCELS, CANCELS_ONLY, NOT_REFUSED)
    assert all(grade(made.expect, other).passed for other in crashed)
    errors = [Failing(t, signals_of(t, [])[0]) for t in crashed]
    made = draft(errors, HEALTHY, [f.trace for f in silent])
    assert isinstance(made, Draft)
    assert made.expect == (NoErrorStatus(), LOOKED, CANCELS, CANCELS_ONLY, NOT_REFUSED)


def test_what_the_sign_is_about_is_expected_whatever_else_fails() -> None:
    also = trace(run(11, CANCEL, error="another error", answer=""))
    failing = trace(run(1, CANCEL, ORDER, CANCELLED, error="boom"))
    made = draft([Failing(failing, signals_of(failing, [])[0])], HEALTHY, [also])
    assert isinstance(made, Draft)
    assert made.expect == (NoErrorStatus(), NOT_REFUSED)


def test_another_kind_of_request_says_nothing_of_this_one() -> None:
    elsewhere = trace(run(11, "How is the weather in Lisbon?", error="boom"))
    made = draft([bad(1, ERROR)], HEALTHY, [elsewhere])
    assert isinstance(made, Draft)
    assert made.expect == (LOOKED, SUCCEEDS, CANCELS, CANCELS_ONLY, *END)


def test_the_failures_caught_are_those_that_the_eval_itself_fails_on() -> None:
    # The same sign with another tool: the eval drafted here never sees it.
    typical = [blamed(n, ORDER, CANCELLED) for n in range(1, 4)]
    other_tool = blamed(4, ORDER, Call("peek", {"id": "A-1"}))
    made = draft([*typical, other_tool], [good(n, ORDER) for n in range(100, 103)])
    assert isinstance(made, Draft)
    assert made.expect == (NOT_CANCELLED, LOOKED, StateChanges(tools=("cancel",)), *END[:2])  # or a no
    assert (made.failing_caught, made.failing) == (3, 4)


def test_the_same_deed_in_another_case_is_caught() -> None:
    failing = [
        blamed(n, Call("cancel", {"id": f"A-{n}"}), asked=f"Please cancel my order {n}") for n in (1, 2)
    ]
    others = [good(n, Call("cancel", {"id": f"A-{n}"})) for n in range(100, 103)]
    made = draft(failing, others, mutants=1)  # nothing is said of a deed
    assert isinstance(made, Draft)
    assert made.expect[0] == NOT_CANCELLED
    assert (made.failing_caught, made.failing) == (2, 2)


def test_a_healthy_run_held_out_can_take_an_expectation_away() -> None:
    # Those chosen by agree on it by chance: the second and the fourth are held out.
    calls = [(ORDER, CANCELLED), (ORDER,), (ORDER, CANCELLED), (ORDER, CANCELLED), (ORDER, CANCELLED)]
    healthy = [good(n, *made) for n, made in enumerate(calls, 100)]
    made = draft([bad(1, ERROR)], healthy)
    assert isinstance(made, Draft)
    assert made.expect == (LOOKED, SUCCEEDS, *END)
    assert (made.healthy_passed, made.healthy) == (1, 1)  # the objecting run has had its say


def test_where_no_healthy_run_can_be_spared_those_used_are_counted() -> None:
    made = draft([bad(1, ERROR)], HEALTHY[:2])
    assert isinstance(made, Draft)
    assert made.expect == (LOOKED, SUCCEEDS, CANCELS, CANCELS_ONLY, *END)
    assert (made.healthy_passed, made.healthy) == (2, 2)


@pytest.mark.parametrize(
    ("asked", "arguments", "told", "case"),
    [
        pytest.param(
            "Refund order A-1031, the zip is broken",
            {"order_id": "A-1031", "amount_cents": 4200, "reason": "the zip is broken"},
            '{"total_cents": 4200}',
            {"order_id": "A-1031"},
            id="the id in the request, not amount and wording",
        ),
        pytest.param(
            "Refund no. 1031", {"id": "A-1031"}, "", {"id": "A-1031"}, id="an id without its prefix"
        ),
        pytest.param("Refund A-1031", {"id": "1031"}, "", {"id": "1031"}, id="an id with a prefix"),
        pytest.param("Refund #1031", {"id": 1031, "n": 2}, "", {"id": 1031}, id="an id that is a number"),
        pytest.param("Refund A-10311", {"id": "A-1031"}, "", {}, id="part of another id"),
        pytest.param(
            "Refund my last order, wrong size",
            {"id": "A-1031", "reason": "wrong size", "why": "size"},
            '[{"id": "A-1031"}]',
            {"id": "A-1031"},
            id="an id that a tool gave, before words of the request",
        ),
        pytest.param("Weather in LISBON?", {"city": "Lisbon"}, "", {"city": "Lisbon"}, id="a word"),
        pytest.param("Refund it, wrong size", {"reason": "wrong size"}, "", {}, id="free text alone"),
        pytest.param("Yes, true", {"a": True, "b": None, "c": ["Yes"], "d": " "}, "", {}, id="no names"),
        pytest.param("Hm (+", {"a": "(+", "b": "x" * 10_000}, "", {"a": "(+"}, id="hostile"),
    ],
)
def test_which_arguments_name_the_case(
    asked: str, arguments: dict[str, Any], told: str, case: dict[str, Any]
) -> None:
    looked, did, later = Call("look", {}, told), Call("do", arguments), Call("check", {}, "wrong A-1031 x")
    made = trace(run(1, asked, looked, did, later))
    assert case_of(made, made.tool_calls[1]) == case


def test_a_forbidden_deed_stays_forbidden_in_other_words() -> None:
    def refund(number: int, reason: str) -> Trace:
        arguments = {"order_id": "A-1031", "amount_cents": 4200, "reason": reason}
        return good(number, Call("refund", arguments), asked="Refund A-1031, it is broken")

    made = draft([Failing(refund(1, "it is broken"), sign("evaluation"))], HEALTHY)
    assert isinstance(made, Draft)
    assert made.expect[0] == ToolNotCalled(tool="refund", arguments={"order_id": "A-1031"})
    assert not grade(made.expect, refund(2, "does not work")).passed


def test_fifty_failures_among_many_long_requests_take_no_time() -> None:
    def asks(number: int) -> str:
        return " ".join(
            f"{'abcdefghij'[place % 10] * 3}{_letters(place * number % 977)}" for place in range(1000)
        )

    failing = [bad(n, ERROR, asked=asks(n)) for n in range(1, 51)]
    healthy = [good(n, ORDER, CANCELLED, asked=asks(n)) for n in range(100, 600)]
    started = time.process_time()  # our own, whatever else the machine does
    draft(failing, healthy, [good(n, ORDER, asked=asks(n)) for n in range(600, 800)])
    assert time.process_time() - started < 4


def _letters(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


@pytest.mark.parametrize(
    ("failing", "healthy", "reason"),
    [
        pytest.param([], HEALTHY, "the mode has no stored trace", id="no trace"),
        pytest.param(
            [bad(1, ERROR, asked=""), bad(2, ERROR, asked="")],
            HEALTHY,
            "the root span carries no input (gen_ai.input.messages), so it cannot be replayed",
            id="no input",
        ),
        pytest.param([bad(1, ERROR)], [], "no healthy run to compare with", id="nothing healthy"),
        pytest.param(
            [blamed(1)],
            [good(n) for n in range(100, 103)],
            "nothing exact tells policy (evaluation) from healthy runs",
            id="nothing done that could be blamed",
        ),
        pytest.param(
            [blamed(1, ORDER, CANCELLED)],
            HEALTHY,
            "nothing exact tells policy (evaluation) from healthy runs",
            id="healthy runs do the same",
        ),
        pytest.param(
            [bad(1, ERROR, asked=""), blamed(2)],
            [good(n) for n in range(100, 103)],
            "the root span carries no input (gen_ai.input.messages), so it cannot be replayed; "
            "nothing exact tells policy (evaluation) from healthy runs",
            id="every reason once",
        ),
    ],
)
def test_why_there_is_no_draft(failing: list[Failing], healthy: list[Trace], reason: str) -> None:
    assert draft(failing, healthy) == Undraftable(reason)


def test_an_eval_that_lets_pass_too_many_broken_runs_is_none() -> None:
    # Other failures on the same requests are other evals' business, so that this one expects little.
    also = trace(run(11, CANCEL, error="another error", answer=""))
    failing = [Failing(f, signals_of(f, [])[0]) for f in [trace(run(1, CANCEL, error="boom"))]]
    made = draft(failing, HEALTHY, [also], mutants=0.25)
    assert isinstance(made, Draft)
    assert 0.25 <= made.mutation_score < 0.5
    none = draft(failing, HEALTHY, [also], mutants=0.5)
    assert isinstance(none, Undraftable)
    assert none.reason.startswith(
        "of 7 healthy runs that were broken on purpose it fails 2, and must fail 50%"
    )
    assert "(OUTERLOOP_DRAFT_MUTANTS): it lets pass: call dropped: it does not call get_order;" in none.reason


def test_the_same_evidence_gives_the_same_draft() -> None:
    failing = [bad(n, ERROR) for n in range(1, 6)]
    assert draft(failing, HEALTHY) == draft(failing, HEALTHY[::-1])
