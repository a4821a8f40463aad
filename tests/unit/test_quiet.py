"""When a trace counts as complete."""

import time

from outerloop.ingest.core.quiet import Patience, Tracker

PATIENCE = Patience(rooted=5, rootless=60)


def test_a_trace_with_its_root_is_due_after_a_short_silence() -> None:
    tracker = Tracker(PATIENCE)
    tracker.seen("a", rooted=True, now=100)
    assert tracker.due(104.9) == []
    assert tracker.due(105) == ["a"]
    assert tracker.due(1000) == []
    assert len(tracker) == 0


def test_a_trace_without_its_root_waits_longer() -> None:
    tracker = Tracker(PATIENCE)
    tracker.seen("a", rooted=False, now=100)
    assert tracker.due(159) == []
    assert tracker.due(160) == ["a"]


def test_whatever_comes_starts_the_silence_again() -> None:
    tracker = Tracker(PATIENCE)
    tracker.seen("a", rooted=True, now=100)
    tracker.seen("a", rooted=False, now=104)  # a late child does not take the root away
    assert tracker.due(108.9) == []
    assert tracker.due(109) == ["a"]


def test_the_root_may_come_last() -> None:
    tracker = Tracker(PATIENCE)
    tracker.seen("a", rooted=False, now=100)
    tracker.seen("a", rooted=True, now=101)
    assert tracker.due(106) == ["a"]


def test_it_holds_no_more_than_it_may_and_counts_the_rest() -> None:
    tracker = Tracker(PATIENCE, most=2)
    for trace_id in ("a", "b", "c", "a"):
        tracker.seen(trace_id, rooted=True, now=100)
    assert (len(tracker), tracker.left_out) == (2, 1)
    assert sorted(tracker.due(105)) == ["a", "b"]
    tracker.seen("c", rooted=True, now=105)
    assert len(tracker) == 1


def test_a_tick_costs_what_is_due_and_not_what_waits() -> None:
    tracker = Tracker(PATIENCE)
    for number in range(200_000):
        tracker.seen(str(number), rooted=False, now=number / 10_000)
    began = time.perf_counter()
    for tick in range(200):
        assert tracker.due(20 + tick / 10) == []
    idle = time.perf_counter() - began
    began = time.perf_counter()
    assert len(tracker.due(1000)) == 200_000
    assert idle < time.perf_counter() - began  # 200 looks at all of it would take many times as long


def test_a_trace_that_was_due_is_tracked_afresh() -> None:
    tracker = Tracker(PATIENCE)
    tracker.seen("a", rooted=True, now=100)
    tracker.seen("b", rooted=False, now=100)
    assert tracker.due(105) == ["a"]
    tracker.seen("a", rooted=False, now=110)  # its root is stored, but this one came alone
    assert tracker.due(120) == []
    assert sorted(tracker.due(170)) == ["a", "b"]
