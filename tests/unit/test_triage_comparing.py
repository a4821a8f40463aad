"""Two detectors beside each other, whether one may replace the other, and what is asked of a person."""

import pytest

from outerloop.triage.core.adopting import may_replace
from outerloop.triage.core.comparing import Call, Mode, Side, compare
from outerloop.triage.core.features import Seen
from outerloop.triage.core.measuring import Measured
from outerloop.triage.core.teaching import Candidate, doubt, most_teaching


def call(trace_id: str, mode: str = "", *, alone: bool | None = None) -> Call:
    score = 0.9 if mode else 0.1
    return Call(trace_id, score, bool(mode) if alone is None else alone, mode, mode.upper())


def test_what_one_detector_in_place_of_another_changes() -> None:
    before = [call("1", "a"), call("2", "a"), call("3"), call("4", "gone"), call("5")]
    after = [call("1", "a"), call("2", "b"), call("3", "a"), call("4"), call("5")]
    bad = {"1": True, "3": True, "4": False, "5": True}
    found = compare(Side("old", before, {}), Side("new", after, {}), bad)
    assert (found.traces, found.both, found.neither, found.only_before, found.only_after) == (5, 2, 1, 1, 1)
    assert found.moved == 1
    assert found.modes == (Mode("b", "B", 0, 1), Mode("gone", "GONE", 1, 0), Mode("a", "A", 2, 2))
    (gained,), (lost,) = found.examples_only_after, found.examples_only_before
    assert (gained.trace_id, gained.title, gained.score_before, gained.score_after, gained.bad) == (
        "3",
        "A",
        0.1,
        0.9,
        True,
    )
    assert (lost.trace_id, lost.bad) == ("4", False)
    assert found.before.measured == Measured(labels=4, called=2, right=1, missed=2)
    assert found.after.measured == Measured(labels=4, called=2, right=2, missed=1)


def test_a_label_counts_for_what_it_was_not_taught_to() -> None:
    calls = [call("1", "a"), call("2", "a")]
    left_out = {"1": False}
    found = compare(Side("old", calls, {}), Side("new", calls, left_out), {"1": True, "2": True})
    assert (found.before.measured.right, found.after.measured.right) == (2, 1)


def test_what_an_evaluator_calls_bad_is_no_merit_of_the_detector() -> None:
    calls = [call("1", "said", alone=False)]
    found = compare(Side("old", calls, {}), Side("new", calls, {}), {"1": True})
    assert (found.before.failures, found.before.measured.called, found.both) == (1, 0, 1)


@pytest.mark.parametrize(
    ("new", "old", "adopted"),
    [
        (Measured(60, 20, 19, 11), Measured(60, 10, 9, 21), True),  # 95 % for 90 %
        (Measured(60, 30, 27, 3), Measured(60, 10, 10, 20), False),  # finds more, and is wrong more often
        (Measured(60, 30, 27, 3), Measured(60, 0, 0, 30), True),  # nothing to be worse than, and 90 %
        (Measured(60, 30, 26, 4), Measured(60, 0, 0, 30), False),
        (Measured(60, 4, 3, 27), Measured(60, 2, 2, 28), False),  # too few to measure
        (Measured(60, 3, 3, 27), Measured(60, 9, 3, 27), True),  # the same without the false alarms
    ],
)
def test_what_is_measured_to_be_worse_is_not_adopted(new: Measured, old: Measured, *, adopted: bool) -> None:
    decided, reason = may_replace(new, old)
    assert decided is adopted
    assert new.said() in reason


def seen(trace_id: str, *wish: int, tools: tuple[int, ...] = ()) -> Seen:
    return Seen(trace_id, "", {}, (), (), wish, frozenset(), tools)


def test_a_person_is_asked_about_what_is_unsure_and_different() -> None:
    alike = [Candidate(seen(f"a{n}", 1, 2, 3, 4), 0.5) for n in range(5)]
    other = Candidate(seen("b", 5, 6, 7, 8), 0.6)
    sure = Candidate(seen("c", 9, 10, 11), 0.999)
    chosen = most_teaching([*alike, other, sure], 3)
    assert [each.trace_id for each in chosen] == ["a4", "b", "c"]  # not another one of the same
    assert (chosen[0].doubt, chosen[0].likeness) == (1.0, 0.0)
    assert [each.trace_id for each in most_teaching([sure], 5)] == ["c"]
    assert most_teaching([], 5) == []


def test_doubt_is_greatest_at_a_half() -> None:
    assert doubt(0.5) == 1.0
    assert doubt(0.0) == doubt(1.0) == 0.1
    assert doubt(0.25) == doubt(0.75) == 0.5
