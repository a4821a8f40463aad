from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from outerloop.propose.ids import change_id
from outerloop.propose.plan import (
    MAX_CONFIRMATIONS,
    MAX_CONFLICTS,
    MAX_UNDONE,
    Abandon,
    Change,
    Decision,
    Nothing,
    Outcome,
    Propose,
    next_step,
)
from outerloop.runtime.envelope import stable_id

# Of production, of time, and of people: not what a gate says of one change after another.
AGAIN = {Outcome.UNDONE, Outcome.PAST, Outcome.FINAL}


def change(eval_id: str, attempt: int) -> Change:
    return Change(change_id(eval_id, attempt), eval_id, attempt)


def decided(eval_id: str, attempt: int, outcome: Outcome) -> Decision:
    return Decision(change_id(eval_id, attempt), outcome)


def test_nothing_is_accepted_nothing_to_do() -> None:
    assert next_step([], [], []) == Nothing()


def test_the_oldest_accepted_eval_is_first() -> None:
    assert next_step(["b", "a"], [], []) == Propose("b", 1)


def test_one_change_in_flight_also_of_an_eval_that_is_not_accepted_any_more() -> None:
    assert next_step(["a", "b"], [change("a", 1)], []) == Nothing()
    assert next_step(["b"], [change("a", 1)], []) == Nothing()


def test_a_rejected_eval_is_tried_again_before_an_older_one() -> None:
    rejected = decided("b", 1, Outcome.REJECTED)
    assert next_step(["a", "b"], [change("b", 1)], [rejected]) == Propose("b", 2)


def test_after_a_ship_the_next_eval() -> None:
    shipped = decided("a", 1, Outcome.SHIPPED)
    assert next_step(["a", "b"], [change("a", 1)], [shipped]) == Propose("b", 1)
    assert next_step(["a"], [change("a", 1)], [shipped]) == Nothing()


def test_an_abandoned_eval_is_skipped() -> None:
    rejected = decided("a", 1, Outcome.REJECTED)
    assert next_step(["a", "b"], [change("a", 1)], [rejected], {"a"}) == Propose("b", 1)


def test_a_conflict_is_tried_again_under_another_number_and_does_not_count() -> None:
    changes = [change("a", n) for n in (1, 2)]
    decisions = [decided("a", 1, Outcome.CONFLICT), decided("a", 2, Outcome.REJECTED)]
    assert next_step(["a"], changes, decisions, max_attempts=2) == Propose("a", 3)


def test_a_failed_session_counts_as_an_attempt_and_does_not_end_the_eval() -> None:
    changes = [change("a", n) for n in (1, 2)]
    decisions = [decided("a", 1, Outcome.FAILED), decided("a", 2, Outcome.REJECTED)]
    assert next_step(["a"], changes, decisions, max_attempts=3) == Propose("a", 3)
    abandon = next_step(["a"], changes, decisions, max_attempts=2)
    assert isinstance(abandon, Abandon)
    assert abandon.attempts == 2
    assert abandon.reason.startswith("changes rejected: 1; sessions that brought none: 1")


def test_conflicts_have_a_bound_of_their_own() -> None:
    changes = [change("a", n) for n in range(1, MAX_CONFLICTS + 1)]
    decisions = [decided("a", n, Outcome.CONFLICT) for n in range(1, MAX_CONFLICTS + 1)]
    assert next_step(["a"], changes[1:], decisions[1:]) == Propose("a", MAX_CONFLICTS + 1)
    abandon = next_step(["a"], changes, decisions)
    assert isinstance(abandon, Abandon)
    assert abandon.reason.startswith(f"the release branch moved under {MAX_CONFLICTS} changes")


def test_a_changes_id_follows_from_its_eval_and_attempt_and_from_nothing_else() -> None:
    assert change_id("e", 2) == stable_id("change", "e", 2)


def test_a_ship_outlives_another_word_on_the_same_change() -> None:
    decisions = [decided("a", 1, Outcome.SHIPPED), decided("a", 1, Outcome.CONFLICT)]
    assert next_step(["a"], [change("a", 1)], decisions) == Nothing()


def test_what_no_other_change_could_mend_is_given_up_at_once() -> None:
    decisions = [decided("a", 1, Outcome.REJECTED), decided("a", 2, Outcome.FINAL)]
    abandon = next_step(["a", "b"], [change("a", 1), change("a", 2)], decisions)
    assert isinstance(abandon, Abandon)
    assert (abandon.eval_id, "a person closed its pull request" in abandon.reason) == ("a", True)


def test_an_eval_that_is_reopened_is_tried_again_under_a_new_number_and_with_all_its_attempts() -> None:
    changes = [change("a", n) for n in (1, 2, 3)]
    undone = [
        decided("a", 1, Outcome.PAST),
        decided("a", 2, Outcome.UNDONE),
        decided("a", 2, Outcome.CONFLICT),  # another word on what shipped
    ]
    assert next_step(["a"], changes[:2], undone, max_attempts=2) == Propose("a", 3)
    rejected = [*undone, decided("a", 3, Outcome.REJECTED)]
    assert next_step(["a"], changes, rejected, max_attempts=2) == Propose("a", 4)
    assert next_step(["a"], changes, [*undone, decided("a", 3, Outcome.SHIPPED)]) == Nothing()


def test_an_eval_that_is_reopened_again_and_again_is_not_tried_for_ever() -> None:
    # Each time its attempts are counted anew, and each time its held-out variants are the same.
    changes = [change("a", n) for n in range(1, MAX_CONFIRMATIONS + 1)]
    past = [decided("a", n, Outcome.PAST) for n in range(1, MAX_CONFIRMATIONS + 1)]
    assert next_step(["a"], changes[1:], past[1:]) == Propose("a", MAX_CONFIRMATIONS + 1)
    abandon = next_step(["a", "b"], changes, past)
    assert isinstance(abandon, Abandon)
    assert abandon.reason.startswith("its held-out variants have told what becomes of 50 changes")


def test_what_ships_and_does_not_hold_time_after_time_is_a_persons() -> None:
    changes = [change("a", n) for n in range(1, MAX_UNDONE + 1)]
    undone = [decided("a", n, Outcome.UNDONE) for n in range(1, MAX_UNDONE + 1)]
    # However many attempts it has: each of these reached production.
    assert next_step(["a"], changes[1:], undone[1:], max_attempts=100) == Propose("a", MAX_UNDONE + 1)
    abandon = next_step(["a"], changes, undone, max_attempts=100)
    assert isinstance(abandon, Abandon)
    assert abandon.reason.startswith(f"{MAX_UNDONE} changes shipped and did not hold")


@given(
    count=st.integers(0, 5),
    max_attempts=st.integers(1, 4),
    draws=st.one_of(
        st.lists(st.sampled_from([o for o in Outcome if o not in AGAIN]), max_size=60),
        st.lists(st.just(Outcome.CONFLICT), max_size=3 * MAX_CONFLICTS),
    ),
)
def test_a_whole_life(count: int, max_attempts: int, draws: list[Outcome]) -> None:
    """Whatever the gate says: attempts count up, evals come one after the other, and all of it ends."""
    accepted = [f"eval-{n}" for n in range(count)]
    changes: list[Change] = []
    decisions: list[Decision] = []
    abandoned: set[str] = set()
    proposals: list[Propose] = []
    # When the draws run out the gate rejects, so that the life is finite.
    outcomes = iter([*draws, *[Outcome.REJECTED] * (count * max_attempts)])

    def step() -> Propose | Abandon | Nothing:
        once = next_step(accepted, changes, decisions, abandoned, max_attempts=max_attempts)
        # A redelivered change or decision changes nothing.
        assert once == next_step(accepted, changes * 2, decisions * 2, abandoned, max_attempts=max_attempts)
        return once

    while not isinstance(now := step(), Nothing):
        if isinstance(now, Abandon):
            abandoned.add(now.eval_id)
            continue
        proposals.append(now)
        changes.append(change(now.eval_id, now.attempt))
        assert step() == Nothing()
        decisions.append(decided(now.eval_id, now.attempt, next(outcomes)))
    of = {d.change_id: d.outcome for d in decisions}
    shipped = {c.eval_id for c in changes if of[c.change_id] is Outcome.SHIPPED}
    bad = {Outcome.REJECTED, Outcome.FAILED}
    rejected = Counter(c.eval_id for c in changes if of[c.change_id] in bad)
    conflicts = Counter(c.eval_id for c in changes if of[c.change_id] is Outcome.CONFLICT)
    assert shipped | abandoned == set(accepted)
    assert not shipped & abandoned
    assert all((rejected[e] == max_attempts) != (conflicts[e] == MAX_CONFLICTS) for e in abandoned)
    assert all(rejected[e] < max_attempts and conflicts[e] < MAX_CONFLICTS for e in shipped)
    # Depth first, in order of acceptance, numbered from 1 without a gap.
    tried = Counter(proposal.eval_id for proposal in proposals)
    assert proposals == [Propose(e, n) for e in accepted for n in range(1, 1 + tried[e])]
