"""Which runs are on a request like another's."""

from outerloop.trace.model import Trace
from outerloop.trace.neighbours import CHARACTERS, Crowd, always_called, neighbours
from samples import Call, run, trace


def asks(number: int, text: str, *calls: Call) -> Trace:
    return trace(run(number, text, *calls))


WISH = asks(1, "Please cancel my order A-1007 today")
SAME = asks(2, "please cancel my order B-22, today!")
NEAR = asks(3, "cancel my order and send the money back")
OTHER = asks(4, "What is the weather like in Lisbon?")


def test_the_most_alike_come_first_and_itself_not_at_all() -> None:
    assert neighbours(WISH, [OTHER, NEAR, WISH, SAME]) == [SAME, NEAR]


def test_no_more_than_asked_for() -> None:
    many = [asks(n, "Please cancel my order today") for n in range(10, 30)]
    assert [t.trace_id for t in neighbours(WISH, many)] == [t.trace_id for t in many[:5]]
    assert len(neighbours(WISH, many, most=7)) == 7


def test_numbers_and_ids_do_not_make_requests_alike() -> None:
    assert neighbours(asks(1, "1007 2024"), [asks(2, "1007 2024")]) == []
    assert neighbours(asks(1, ""), [asks(2, "")]) == []


def test_order_of_arrival_does_not_matter() -> None:
    equal = [asks(n, "Please cancel my order today") for n in (12, 11, 13)]
    assert neighbours(WISH, equal) == neighbours(WISH, equal[::-1])


def test_of_a_long_request_the_beginning_counts() -> None:
    pasted = " ".join(f"x{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10 % 10]}y" for n in range(1000))
    padding = "please " * (CHARACTERS // 7 + 1)
    assert neighbours(asks(1, padding + "cancel"), [asks(2, padding + pasted)]) != []
    assert neighbours(asks(1, "cancel"), [asks(2, padding + "cancel")]) == []


def test_a_crowd_gives_all_that_are_alike() -> None:
    crowd = Crowd([OTHER, NEAR, WISH, SAME])
    assert crowd.like(WISH) == [SAME, NEAR]
    assert crowd.like(OTHER) == []


def test_tools_that_every_run_called() -> None:
    first = asks(1, "x", Call("b"), Call("a"), Call("c"), Call("b"))
    second = asks(2, "x", Call("a"), Call("b"), Call("c", failed=True))
    assert always_called([first, second]) == ["b", "a"]
    assert always_called([]) == []
    assert always_called([first, asks(3, "x")]) == []
