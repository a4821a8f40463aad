import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core.spending import (
    DELTA,
    HARMONIC,
    INDICES,
    Entry,
    Ledger,
    Released,
    Renewed,
    Reserved,
    Rested,
    SpentError,
    alpha_of,
)


def test_the_whole_life_spends_delta():
    assert pytest.approx(7.4855, abs=5e-5) == HARMONIC
    assert sum(alpha_of(k) for k in range(1, INDICES + 1)) == pytest.approx(DELTA)
    for index in (0, 1001):
        with pytest.raises(ValueError, match="from 1 to 1000"):
            alpha_of(index)


# What happens to each content: confirmed again, shipped, or left.
EVENTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=40)


@settings(deadline=None)
@given(EVENTS)
def test_no_two_contents_hold_an_index_and_a_failure_keeps_its_own(events):
    ledger = Ledger()
    entries: list[Entry] = []
    failed: dict[str, int] = {}
    for content, ships in events:
        entry = ledger.reservation(content)
        assert entry.index not in {index for other, index in failed.items() if other != content}
        if content in failed:
            assert entry.index == failed[content]  # the same content, the same index
        new: list[Entry] = [entry, Released(content)] if ships else [entry]
        for each in new:
            ledger.apply(each)
            ledger.apply(each)  # a crash between writes repeats them
        entries += new
        failed.pop(content, None)
        if not ships:
            failed[content] = entry.index
    assert ledger.open_or_failed == len(failed)
    spent = sum(alpha_of(index) for index in failed.values())
    assert ledger.left == pytest.approx(1 - spent / DELTA)
    again = Ledger.fold(entries)
    assert again == ledger
    assert again.reservation("another") == ledger.reservation("another")


def test_what_rests_is_taken_up_with_no_fewer_trials_until_it_ships():
    entries: list[Entry] = [
        Reserved("a", 1),
        Rested("a", 12),
        Rested("a", 30),
        Rested("a", 12),
        Reserved("b", 2),
    ]
    ledger = Ledger.fold(entries)
    assert (ledger.least_trials("a"), ledger.least_trials("b")) == (30, 0)
    assert ledger.reservation("a") == Reserved("a", 1)
    ledger.apply(Released("a"))
    assert ledger.least_trials("a") == 0
    with pytest.raises(ValueError, match="a rests, and holds no index"):
        ledger.apply(Rested("a", 31))


def test_the_smallest_free_index_is_next():
    ledger = Ledger.fold([Reserved("a", 1), Reserved("b", 2), Reserved("c", 3), Released("b"), Released("a")])
    assert ledger.reservation("d") == Reserved("d", 1)
    ledger.apply(Reserved("d", 1))
    assert ledger.reservation("e").index == 2
    assert ledger.reservation("c").index == 3


def test_after_a_thousand_failures_a_person_must_renew():
    ledger = Ledger.fold(Reserved(f"c{k}", k) for k in range(1, INDICES + 1))
    with pytest.raises(SpentError, match="renew"):
        ledger.reservation("one more")
    assert ledger.reservation("c7") == Reserved("c7", 7)  # what has an index can go on
    ledger.apply(Renewed("ada", 1))
    assert ledger.reservation("one more") == Reserved("one more", 1, 1)
    assert ledger.reservation("c7") == Reserved("c7", 7)  # and no second roll in the new term
    ledger.apply(Released("c7"))
    assert ledger.reservation("one more").index == 1  # an index of an old term frees nothing in this one


@pytest.mark.parametrize(
    "entries",
    [
        [Reserved("a", 2)],
        [Reserved("a", 1), Reserved("b", 1)],
        [Reserved("a", 1), Reserved("a", 2)],
        [Reserved("a", 1, 1)],
        [Renewed("ada", 2)],
    ],
)
def test_entries_that_are_no_ledger(entries):
    with pytest.raises(ValueError, match="broken"):
        Ledger.fold(entries)


def test_another_delta():
    ledger = Ledger(delta=0.01)
    assert ledger.alpha(ledger.reservation("a")) == pytest.approx(0.01 / HARMONIC)
