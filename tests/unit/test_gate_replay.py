"""What is on record is told again: on other terms, or without an eval that the base fails too."""

# ruff: noqa: S311 (simulated agents are to be the same in every run)

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core.case import Case, Kind, NewEval, Outcome, Terms, Trial
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.spending import HARMONIC, Ledger
from unit.test_gate_confirmation import coins, play, prior, suite

RATES = st.dictionaries(
    st.sampled_from(["e0", "e1", "e2", "e3", "new"]), st.sampled_from([0.5, 0.7, 0.9, 0.97, 1.0])
)
ALPHAS = st.sampled_from([0.2, 0.02, 0.00668, 0.0003])

RECORDS = st.tuples(st.integers(1, 6), st.integers(0, 200))  # so many at once, and trials made before a crash


def told(case, terms, trials, passes):
    court = Confirmation(case, terms)
    for trial in trials:
        court.started(trial)
        court.finished(trial, passed=passes(trial.eval_id, trial.index))
    return court


@settings(max_examples=60, deadline=None)
@given(RATES, st.integers(0, 10**6), RECORDS, st.tuples(ALPHAS, ALPHAS), st.booleans())
def test_a_rebuilt_confirmation_stands_where_one_that_never_saw_the_rest_does(
    rates, seed, recorded, alphas, drops
):
    width, crash_after = recorded
    alpha, other_alpha = alphas
    case, passes = suite(7), coins(seed, rates)
    _, made = play(Confirmation(case, Terms(alpha=alpha)), passes, width=width)
    left = case.without("e1") if drops else case
    record = [trial for trial in made[:crash_after] if trial.eval_id != "e1" or not drops]
    terms = Terms(alpha=other_alpha)
    in_order = told(left, terms, record, passes)
    random.Random(seed).shuffle(record)
    shuffled = told(left, terms, record, passes)
    assert shuffled.evidence() == in_order.evidence()
    assert shuffled.screened == in_order.screened
    assert shuffled.next_trial() == in_order.next_trial()
    resumed, more = play(shuffled, passes)
    fresh, _ = play(Confirmation(left, terms), passes)
    assert resumed == fresh  # no re-roll: the same results, whatever was on record
    assert not set(more) & set(record)


def test_what_an_index_draws_is_the_same_at_any_level():
    drawn: dict[int, int] = {}
    for alpha in (0.2, 0.01, 0.0005):
        _, made = play(Confirmation(suite(variants=3), Terms(alpha=alpha)), lambda *_: True)
        for trial in made:
            if trial.eval_id == "new":
                assert drawn.setdefault(trial.index, trial.variant) == trial.variant


def test_a_trial_of_another_case_is_an_error():
    court = Confirmation(suite(variants=3), Terms(alpha=0.01))
    with pytest.raises(ValueError, match="another case"):
        court.started(Trial("new", 0, variant=2))
    with pytest.raises(ValueError, match="no prior eval"):
        suite().without("new")


def test_a_change_of_a_person_has_no_new_eval():
    case = Case(new=None, priors=tuple(prior(f"e{i}") for i in range(6)), seed="s")
    court = Confirmation(case, Terms(alpha=0.00668))
    assert court.screened
    verdict, made = play(court, lambda *_: True)
    assert verdict.outcome is Outcome.SHIP
    assert verdict.screen == (0, 0)
    assert {claim.kind for claim in verdict.claims} == {Kind.PRIOR, Kind.DRIFT}
    assert {trial.eval_id for trial in made} == {f"e{i}" for i in range(6)}
    broken, _ = play(Confirmation(case, Terms(alpha=0.00668)), coins(1, {"e4": 0.3}))
    assert (broken.outcome, broken.stop.name) == (Outcome.REJECT, "e4")
    nothing, _ = play(Confirmation(replace(case, priors=()), Terms(alpha=0.00668)), lambda *_: True)
    assert (nothing.outcome, nothing.claims, nothing.trials) == (Outcome.SHIP, (), 0)


def test_the_cap_grows_with_the_claims_unless_it_is_set():
    small, large = suite(20), suite(2000)
    assert Terms(alpha=0.01).cap(small.claims) == 20_000
    assert Terms(alpha=0.01).cap(large.claims) == 40 * 2002
    assert Terms(alpha=0.01, trials_a_decision=5).cap(large.claims) == 5
    assert replace(small, new=NewEval(eval_id="n", bar=0.75)).claims == 21


@settings(max_examples=40, deadline=None)
@given(RATES, st.integers(0, 10**6), st.integers(0, 5))
def test_resubmission_never_re_rolls(rates, seed, others):
    """What failed comes back at its own index with its own results: the same verdict, no trial more."""
    case, passes, ledger = suite(), coins(seed, rates), Ledger()
    first = ledger.reservation("content")
    ledger.apply(first)
    verdict, made = play(Confirmation(case, Terms(alpha=ledger.alpha(first))), passes, width=3)
    for number in range(others):
        ledger.apply(ledger.reservation(f"other {number}"))
    again = ledger.reservation("content")
    assert again == first
    court = told(case, Terms(alpha=ledger.alpha(again)), made, passes)
    assert court.next_trial() == verdict
    if verdict.outcome is not Outcome.SHIP:
        assert first.index not in {ledger.reservation(f"new {n}").index for n in range(3)}


def test_looking_at_every_trial_of_a_whole_life_keeps_the_level():
    """A proposer whose changes are exactly at a bar, over and over, each at the level that its turn has."""
    delta, lives, shipped = 0.3, 100, 0
    case = suite(3)
    for life in range(lives):
        ledger = Ledger(delta=delta)
        for number in range(12):
            reserved = ledger.reservation(f"{number}")
            ledger.apply(reserved)
            passes = coins(f"{life}/{number}", {"e1": 0.725, "new": 1.0})
            verdict, _ = play(Confirmation(case, Terms(alpha=ledger.alpha(reserved))), passes)
            if verdict.outcome is Outcome.SHIP:
                shipped += 1
                break
    expected = delta * sum(1 / k for k in range(1, 13)) / HARMONIC  # .124, and below δ
    assert 0 < shipped / lives <= expected + 3 * (expected / lives) ** 0.5
