"""Which failures are one mode."""

import pytest

from outerloop.trace.signal import Signal
from outerloop.triage.core.grouping import group_of, normalised


def mode(kind: str, subject: str, detail: str, agent: str = "helpdesk") -> str:
    return group_of(agent, Signal(kind, subject, detail, "1")).mode_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("invalid order id '1007': expected A-1007", "invalid order id '2': expected A-2"),
        ("user ann@example.com is locked", "user bob@example.org is locked"),
        ('{"error": "no seat"} on HAT-12', '{"error": "none"} on HAT-99'),
        ("took 12.5 s of 10", "took 99 s of 10"),
        ("Reservation not found", "reservation  NOT found"),
    ],
)
def test_particulars_do_not_tell_modes_apart(one: str, other: str) -> None:
    assert mode("tool_error", "get", one) == mode("tool_error", "get", other)


def test_kind_tool_agent_and_cause_do() -> None:
    ids = {
        mode("tool_error", "get_order", "not found"),
        mode("tool_error", "get_order", "not allowed"),
        mode("tool_error", "get_user", "not found"),
        mode("error_status", "get_order", "not found"),
        mode("tool_error", "get_order", "not found", agent="airline"),
    }
    assert len(ids) == 5


@pytest.mark.parametrize("kind", ["evaluation", "repeated_call", "empty_answer"])
def test_free_text_does_not_split_a_mode(kind: str) -> None:
    assert mode(kind, "quality", "fail: it was rude") == mode(kind, "quality", "bad: wrong refund")


def test_the_beginning_of_a_long_text_decides() -> None:
    begins = "the service said that it could not do what was asked of it"
    assert mode("tool_error", "get", begins + " today") == mode("tool_error", "get", begins + " again")


def test_a_mode_keeps_its_id() -> None:
    group = group_of("helpdesk", Signal("tool_error", "get_order", "invalid order id '1007'", "1"))
    assert group.fingerprint == "tool_error|get_order|invalid order id *"
    assert group.mode_id == "2d2aad23-d3a9-5632-889c-5d44c366d803"


@pytest.mark.parametrize(
    ("signal", "title"),
    [
        (Signal("tool_error", "get", "bad id '7'", ""), "get fails: bad id …"),
        (Signal("repeated_call", "get", "", ""), "get is called again and again with the same arguments"),
        (Signal("error_status", "chat", "late", ""), "chat ends with an error: late"),
        (Signal("empty_answer", "run", "", ""), "run ends without an answer"),
        (Signal("evaluation", "quality", "fail: rude", ""), "quality says fail: rude"),
        (Signal("evaluation", "{detail}", "{subject}", ""), "{detail} says …"),
    ],
)
def test_a_title_says_what_goes_wrong(signal: Signal, title: str) -> None:
    assert group_of("helpdesk", signal).title == title


def test_a_title_has_an_end() -> None:
    title = group_of("helpdesk", Signal("tool_error", "get", "no " * 200, "")).title
    assert len(title) == 110
    assert title.endswith("…")


def test_normalising_twice_changes_nothing() -> None:
    once = normalised("invalid order id '1007': expected the form A-1007")
    assert once == "invalid order id * expected the form *"
    assert normalised(once) == once


def test_hostile_text_is_normalised_in_linear_time() -> None:
    for hostile in ("'" * 500, "{" * 500, "[" * 250 + "]" * 250, "A" * 500, "AA-" * 160, "@" * 500):
        assert isinstance(normalised(hostile), str)
