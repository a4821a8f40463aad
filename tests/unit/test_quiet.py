"""When a trace counts as complete."""

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


def test_a_trace_that_was_due_is_tracked_afresh() -> None:
    tracker = Tracker(PATIENCE)
    tracker.seen("a", rooted=True, now=100)
    tracker.seen("b", rooted=False, now=100)
    assert tracker.due(105) == ["a"]
    tracker.seen("a", rooted=False, now=110)  # its root is stored, but this one came alone
    assert tracker.due(120) == []
    assert sorted(tracker.due(170)) == ["a", "b"]
