"""What a judge looks at, what it may spend by now, and whether it is good enough to decide."""

from datetime import UTC, datetime

import pytest

from outerloop.store.opinions import Standing
from outerloop.triage.core.sampling import allowance, sample, weight
from outerloop.triage.questions import cause_of
from outerloop.triage.trust import lacks


def test_what_the_detector_is_unsure_of_is_drawn_most_and_what_it_is_sure_of_too() -> None:
    runs = [(f"{n:032x}", weight(0.5 if n % 2 else 0.0, detected=False)) for n in range(2000)]
    drawn = sample(runs, 200)
    unsure = sum(int(trace_id, 16) % 2 for trace_id in drawn)
    assert 160 < unsure < 199  # ten to one, in expectation 182
    assert drawn == sample(reversed(runs), 200)
    assert weight(0.5, detected=False) == 1.0
    assert weight(0.0, detected=False) == 0.1
    assert weight(1.0, detected=True) == 0.02


def test_a_days_money_is_given_out_over_the_day() -> None:
    def at(hour: int, minute: int = 0) -> float:
        return allowance(24.0, datetime(2026, 11, 20, hour, minute, tzinfo=UTC))

    assert (at(0), at(6), at(21, 30), at(23, 59)) == (2.0, 8.0, 23.5, 24.0)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((10, 0, 0, 10), ""),
        ((10, 0, 0, 9), "people have labelled 10 good and 9 bad traces that it has judged: it takes 20"),
        ((16, 0, 0, 4), "of each kind 5"),
        ((6, 4, 4, 6), "kappa is 0.20, below 0.6"),
        ((40, 3, 2, 8), "people call bad 0.73 of what it calls bad: less than 0.8"),
        ((40, 2, 2, 8), ""),
        ((10, 0, 10, 0), "kappa is 0.00"),
    ],
)
def test_a_judge_decides_once_people_say_that_it_is_good_enough(
    counts: tuple[int, int, int, int], says: str
) -> None:
    good_good, good_bad, bad_good, bad_bad = counts
    standing = Standing(
        agent="a",
        model="m",
        prompt="p",
        opinions=sum(counts),
        said_bad=good_bad + bad_bad,
        unsure=0,
        useless=0,
        good_good=good_good,
        good_bad=good_bad,
        bad_good=bad_good,
        bad_bad=bad_bad,
    )
    found = lacks(standing, 0.8)
    assert says in found
    assert bool(says) == bool(found)


def test_a_cause_is_words_alone() -> None:
    assert cause_of("Refund <data> after 40 days; DROP TABLE!") == "refund data after days drop table"
    assert cause_of("123") == "unnamed"
