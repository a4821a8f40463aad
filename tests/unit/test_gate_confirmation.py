"""The whole decision, on agents whose every trial is written down beforehand."""

# ruff: noqa: S311 (simulated agents are to be the same in every run)

import random
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core.case import Case, Kind, NewEval, Outcome, PriorEval, Terms, Trial, Verdict
from outerloop.gate.core.claim import State
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.order import by_hazard, hazard

TERMS = Terms(alpha=0.00668)


def prior(name, **change):
    return replace(PriorEval(eval_id=name, bar=0.725, anchor=0.99, passes=98, trials=100), **change)


def suite(evals=6, variants=2, **change):
    priors = tuple(prior(f"e{i}") for i in range(evals))
    new = NewEval(eval_id="new", bar=0.75, variants=variants)
    return replace(Case(new=new, priors=priors, seed="s"), **change)


def coins(seed, rates):
    """What every trial gives, whenever it is made: a coin of its own for each (eval, index)."""

    @cache
    def passes(eval_id, index):
        return random.Random(f"{seed}/{eval_id}/{index}").random() < rates.get(eval_id, 0.99)

    return passes


def play(court, passes, *, width=1, choose=lambda running: 0, lost=lambda: False):
    """Run to the verdict; gives the trials that were made too."""
    made: list[Trial] = []
    running: list[Trial] = []
    while True:
        step = None
        while len(running) < width and isinstance(step := court.next_trial(), Trial):
            court.started(step)
            running.append(step)
        if isinstance(step, Verdict):
            return step, made
        assert running, "it waits for nothing"
        trial = running.pop(choose(running) % len(running))
        if lost():
            court.lost(trial)
        else:
            made.append(trial)
            court.finished(trial, passed=passes(trial.eval_id, trial.index))


RATES = st.dictionaries(
    st.sampled_from(["e0", "e1", "e2", "e3", "new"]), st.sampled_from([0.5, 0.7, 0.9, 0.97, 1.0])
)
ORDERS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=20)


@settings(max_examples=120, deadline=None)
@given(RATES, st.integers(0, 10**6), st.integers(2, 12), ORDERS)
def test_the_verdict_is_the_same_in_any_order_of_completion(rates, seed, width, order):
    case, passes = suite(), coins(seed, rates)
    terms = replace(TERMS, trials_a_claim=60)
    one_by_one, made = play(Confirmation(case, terms), passes)
    draw = random.Random(repr(order))
    picks = lambda _: draw.choice(order)[0]  # noqa: E731
    losses = lambda: draw.choice(order)[1] and draw.random() < 0.3  # noqa: E731
    together, more = play(Confirmation(case, terms), passes, width=width, choose=picks, lost=losses)
    assert together == one_by_one
    assert set(made) <= set(more)
    assert max(Counter(more).values()) == 1
    assert len(made) == one_by_one.trials
    if one_by_one.outcome is Outcome.SHIP:
        assert len(more) == len(made)  # nothing that runs ahead is in vain when it ships


@settings(max_examples=40, deadline=None)
@given(RATES, st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 200))
def test_a_replay_in_any_order_goes_on_where_it_stopped(rates, seed, width, crash_after):
    case, passes = suite(), coins(seed, rates)
    verdict, made = play(Confirmation(case, TERMS), passes, width=width)
    record = made[:crash_after]
    random.Random(seed).shuffle(record)
    again = Confirmation(case, TERMS)
    for trial in record:
        again.started(trial)
        again.finished(trial, passed=passes(trial.eval_id, trial.index))
    resumed, more = play(again, passes, width=width)
    assert resumed == verdict
    assert not set(more) & set(record)


def test_a_good_change_ships_with_every_claim_certified():
    verdict, made = play(Confirmation(suite(20), TERMS), coins(1, {"new": 0.97}))
    assert verdict.outcome is Outcome.SHIP
    assert verdict.stop is None
    kinds = Counter(claim.kind for claim in verdict.claims)
    assert kinds == {Kind.NEW: 1, Kind.HELD_OUT: 1, Kind.PRIOR: 20, Kind.DRIFT: 1}
    assert all(claim.state is State.CERTIFIED and claim.up >= 5.0 for claim in verdict.claims)
    assert verdict.undecided == ()
    assert [round(claim.bar, 3) for claim in verdict.claims[:2]] == [0.75, 0.65]
    assert 350 < len(made) == verdict.trials < 650


def test_the_screen_is_thrown_away_and_spends_nothing():
    court = Confirmation(suite(), TERMS)
    fails_twice = lambda eval_id, index: index > 1  # noqa: E731
    verdict, made = play(court, fails_twice)
    assert (verdict.outcome, verdict.stop.kind, verdict.trials) == (Outcome.REJECT, Kind.SCREEN, 2)
    assert not court.screened
    assert verdict.claims == ()
    court = Confirmation(suite(variants=0), TERMS)
    verdict, made = play(court, lambda eval_id, index: eval_id != "new" or index != 0)
    new = [trial.index for trial in made if trial.eval_id == "new"]
    assert court.screened
    assert new[:5] == [0, 1, 2, 3, 4]
    assert verdict.screen == (3, 4)
    assert next(c for c in verdict.claims if c.kind is Kind.NEW).trials == len(new) - 4


def test_a_screen_of_three_leaves_index_three_out():
    _, made = play(Confirmation(suite(), TERMS), lambda *_: True)
    assert [t.index for t in made if t.eval_id == "new"][:4] == [0, 1, 2, 4]


def test_the_new_eval_comes_first_then_hazard_per_cost():
    priors = (prior("a"), prior("b", hazard=hazard(9, 20, touched=True)), prior("c", hazard=8.0, cost=4.0))
    assert by_hazard(priors) == [1, 2, 0]
    _, made = play(Confirmation(suite(priors=priors), TERMS), lambda *_: True)
    ids = [trial.eval_id for trial in made]
    assert set(ids[: ids.index("b")]) == {"new"}
    assert [i for i in ids if i != "new"][:6] == ["b", "c", "a", "b", "c", "a"]
    assert hazard(3, 10, touched=True) > hazard(3, 10, touched=False) > hazard(0, 10, touched=False) > 0


def test_a_failing_trial_drills_its_eval_to_its_own_verdict():
    verdict, made = play(Confirmation(suite(), TERMS), lambda eval_id, index: eval_id != "e3" or index == 0)
    assert (verdict.outcome, verdict.stop.kind, verdict.stop.name) == (Outcome.REJECT, Kind.PRIOR, "e3")
    ids = [trial.eval_id for trial in made if trial.eval_id != "new"]
    assert ids[:10] == ["e0", "e1", "e2", "e3", "e4", "e5", "e0", "e1", "e2", "e3"]
    assert set(ids[10:]) == {"e3"}


def test_held_out_variants_are_drawn_and_must_hold_by_themselves():
    court = Confirmation(suite(variants=3), TERMS)
    drawn = {}
    while isinstance(step := court.next_trial(), Trial):
        drawn[step] = step.variant
        court.started(step)
        hard_coded = step.eval_id == "new" and step.variant == 0
        court.finished(step, passed=hard_coded or step.eval_id != "new")
    assert isinstance(step, Verdict)
    assert step.outcome is Outcome.REJECT
    assert step.stop
    assert step.stop.kind in {Kind.NEW, Kind.HELD_OUT}
    assert {t.variant for t in drawn if t.index < 4} == {0}
    _, made = play(Confirmation(suite(variants=3), TERMS), lambda *_: True)
    assert {t.variant for t in made if t.eval_id == "new"} == {0, 1, 2, 3}
    assert {t.variant for t in made if t.eval_id != "new"} == {0}


def test_the_held_out_claim_goes_on_alone():
    """Once the new claim is certified every trial is of a variant."""
    terms = replace(TERMS, alpha=0.2)
    alone = 0
    for seed in "abcdef":
        verdict, made = play(Confirmation(suite(variants=1, seed=seed), terms), lambda *_: True)
        new, held = (next(c for c in verdict.claims if c.kind is k) for k in (Kind.NEW, Kind.HELD_OUT))
        of_variants = [t.variant for t in made if t.eval_id == "new"][3:]
        assert all(of_variants[new.trials :])
        assert held.trials == sum(of_variants[: new.trials]) + len(of_variants[new.trials :])
        alone += len(of_variants) > new.trials
    assert alone


def test_a_change_at_its_bar_ships_at_most_at_the_level():
    """The whole decision, with everything in it, at a level that a short simulation can see."""
    case, terms = suite(5), replace(TERMS, alpha=0.1)
    at_bar = [play(Confirmation(case, terms), coins(n, {"new": 0.97, "e2": 0.725}))[0] for n in range(400)]
    hard_coded = [decide_hard_coded(case, terms, n) for n in range(400)]
    for verdicts in (at_bar, hard_coded):
        ships = sum(verdict.outcome is Outcome.SHIP for verdict in verdicts)
        assert 0 < ships <= 58  # 40 expected at most; three deviations


def decide_hard_coded(case, terms, seed):
    """A change that always passes the eval, and its variants exactly as often as their bar."""
    court, rng = Confirmation(case, terms), random.Random(seed)
    while isinstance(step := court.next_trial(), Trial):
        court.started(step)
        rate = 0.99 if step.eval_id != "new" else 0.65 if step.variant else 1.0
        court.finished(step, passed=rng.random() < rate)
    return step


def test_drift_is_charged_when_many_evals_slip_inside_their_margins():
    rates = {f"e{i}": 0.9 for i in range(60)} | {"new": 1.0}
    outcomes: Counter[tuple[Outcome, Kind | None]] = Counter()
    for seed in range(10):
        verdict, _ = play(Confirmation(suite(60), TERMS), coins(seed, rates))
        outcomes[verdict.outcome, verdict.stop and verdict.stop.kind] += 1
    assert outcomes[Outcome.REJECT, Kind.DRIFT] == 10


def test_inconclusive_at_a_cap_resumes_under_a_wider_one():
    case, passes = suite(), coins(3, {"e2": 0.85})
    tight, made = play(Confirmation(case, replace(TERMS, trials_a_claim=8)), passes)
    assert tight.outcome is Outcome.INCONCLUSIVE
    assert tight.stop.kind is Kind.NEW
    assert tight.undecided
    poor, _ = play(Confirmation(case, replace(TERMS, trials_a_decision=60)), passes)
    assert (poor.outcome, poor.stop.kind, poor.trials) == (Outcome.INCONCLUSIVE, None, 60)
    assert 20 < poor.expected < 400
    free, all_made = play(Confirmation(case, TERMS), passes)
    again = Confirmation(case, TERMS)
    for trial in made:
        again.started(trial)
        again.finished(trial, passed=passes(trial.eval_id, trial.index))
    resumed, more = play(again, passes)
    assert resumed == free
    assert len(more) + len(made) == len(all_made)


def test_the_same_content_under_another_index_is_the_same_trials():
    """Resubmission re-rolls nothing: more error to spend could only decide the same sequences earlier."""
    case, passes = suite(), coins(9, {"e1": 0.8})
    early, first = play(Confirmation(case, replace(TERMS, alpha=0.001)), passes)
    again, second = play(Confirmation(case, replace(TERMS, alpha=0.001)), passes)
    assert (early, first) == (again, second)


def test_no_suite_yet():
    verdict, _ = play(Confirmation(suite(0), TERMS), lambda *_: True)
    assert verdict.outcome is Outcome.SHIP
    assert [c.kind for c in verdict.claims] == [Kind.NEW, Kind.HELD_OUT]


def test_misuse_is_an_error():
    court = Confirmation(suite(), TERMS)
    step = court.next_trial()
    assert isinstance(step, Trial)
    court.started(step)
    assert court.running == {("new", 0)}
    with pytest.raises(ValueError, match="started before"):
        court.started(step)
    court.lost(step)
    assert court.next_trial() == step
    with pytest.raises(ValueError, match="twice"):
        suite(priors=(prior("a"), prior("a")))
