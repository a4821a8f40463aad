"""Where failures belong after people have ruled, and when a mode is said to rise."""

from dataclasses import dataclass

import pytest

from outerloop.triage.core.rising import is_rising
from outerloop.triage.core.rulings import home_of, split_id


@dataclass(frozen=True)
class Move:
    mode_id: str
    into_mode_id: str
    containing: str = ""


def test_without_a_ruling_a_failure_stays() -> None:
    assert home_of("a", "text", []) == "a"
    assert home_of("a", "text", [Move("b", "c")]) == "a"


def test_merges_are_followed_to_their_end() -> None:
    moves = [Move("b", "c"), Move("a", "b")]
    assert home_of("a", "", moves) == "c"


def test_a_split_takes_what_contains_its_text_and_a_later_merge_the_rest() -> None:
    moves = [Move("a", "s", "Refund Window"), Move("a", "c")]
    assert home_of("a", "the refund window is over", moves) == "s"
    assert home_of("a", "no seat", moves) == "c"


def test_what_was_split_off_may_be_merged() -> None:
    moves = [Move("a", "s", "window"), Move("s", "c")]
    assert home_of("a", "the window", moves) == "c"


def test_a_circle_ends() -> None:
    assert home_of("a", "", [Move("a", "b"), Move("b", "a")]) in {"a", "b"}


def test_a_split_has_one_id_whatever_the_case_of_its_text() -> None:
    assert split_id("a", "Window") == split_id("a", "window") != split_id("b", "window")


@pytest.mark.parametrize(
    ("before", "now", "spells", "rises"),
    [
        ((1000, 10), (1000, 60), 20, True),
        ((1000, 0), (100, 12), 6, True),  # never seen before
        ((1000, 10), (1000, 19), 12, False),  # not twice as often
        ((1000, 10), (100, 3), 3, False),  # chance
        ((1000, 0), (100, 12), 2, False),  # two bad minutes
        ((0, 0), (100, 50), 20, False),  # nothing to compare with
        ((1000, 1000), (1000, 1000), 99, False),
        ((10**7, 10**5), (10**6, 10**5), 99, True),  # large counts are no trouble
    ],
)
def test_a_rise_is_proven_or_is_none(before, now, spells, rises) -> None:
    assert is_rising(before, now, spells) is rises
