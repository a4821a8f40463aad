from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outerloop.gate.core.decide import Asked, Deliberation, Outcome, Ruling, Trial


def play(asked, results, *, width=1, choose=lambda running: 0, lost=lambda: False):
    """Run to the verdict: `choose` says which of the running trials ends next."""
    deliberation = Deliberation(asked)
    made: list[Trial] = []
    while True:
        step = None
        while len(deliberation.running) < width:
            step = deliberation.next_trial()
            if not isinstance(step, Trial):
                break
            deliberation.started(step)
        if isinstance(step, Ruling):
            return step, made
        running = sorted(deliberation.running)
        trial = running[choose(running) % len(running)]
        if lost():
            deliberation.lost(trial)
        else:
            made.append(trial)
            deliberation.finished(trial, passed=results[trial.eval_id][trial.index])


def by_the_rule(asked, results):
    """The rule in the fewest words, one trial after another."""
    outcomes = []
    for each in asked:
        passed = failed = 0
        while passed < each.passes and failed <= each.trials - each.passes:
            ok = results[each.eval_id][passed + failed]
            passed, failed = passed + ok, failed + (not ok)
        outcomes.append(Outcome(each.eval_id, passed + failed, passed, held=passed >= each.passes))
        if not outcomes[-1].held:
            return Ruling(each.eval_id, tuple(outcomes))
    return Ruling(None, tuple(outcomes))


@st.composite
def suites(draw):
    asked, results = [], {}
    for number in range(draw(st.integers(1, 5))):
        trials = draw(st.integers(1, 6))
        asked.append(Asked(f"e{number}", trials, draw(st.integers(1, trials))))
        results[f"e{number}"] = draw(st.lists(st.booleans(), min_size=trials, max_size=trials))
    return asked, results


# Which of the running trials ends next, and whether it is lost; repeated for as long as the game lasts.
ORDERS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20)


@given(suites(), st.integers(1, 6), ORDERS)
def test_the_verdict_is_the_same_for_any_order_of_completion(suite, width, order):
    asked, results = suite
    choices, losses = cycle([choice for choice, _ in order]), cycle([*(lost for _, lost in order), False])
    ruling, _ = play(asked, results, width=width, choose=lambda _: next(choices), lost=lambda: next(losses))
    assert ruling == by_the_rule(asked, results)


@given(suites())
def test_one_at_a_time_runs_no_trial_that_does_not_count(suite):
    asked, results = suite
    ruling, made = play(asked, results)
    assert len(made) == sum(outcome.trials for outcome in ruling.outcomes)


@given(suites(), st.integers(2, 4), ORDERS)
def test_trials_at_once_are_in_vain_only_when_an_earlier_eval_breaks(suite, width, order):
    asked, results = suite
    choices = cycle([choice for choice, _ in order])
    ruling, made = play(asked, results, width=width, choose=lambda _: next(choices))
    counted = {outcome.eval_id: outcome.trials for outcome in ruling.outcomes}
    for outcome in ruling.outcomes:
        assert sum(trial.eval_id == outcome.eval_id for trial in made) == counted[outcome.eval_id]
    if ruling.ships:
        assert len(made) == sum(counted.values())


def test_an_eval_ends_as_soon_as_it_is_decided():
    ruling, _ = play([Asked("new", 5, 4)], {"new": [True] * 5})
    assert ruling == Ruling(None, (Outcome("new", 4, 4, held=True),))
    ruling, _ = play([Asked("new", 5, 4)], {"new": [False, True, False, True, True]})
    assert ruling == Ruling("new", (Outcome("new", 3, 1, held=False),))


def test_the_first_eval_that_does_not_hold_ends_it():
    asked = [Asked("new", 1, 1), Asked("b", 1, 1), Asked("a", 1, 1), Asked("c", 1, 1)]
    ruling, made = play(asked, {"new": [True], "b": [True], "a": [False], "c": [True]})
    assert ruling.broken == "a"
    assert not ruling.ships
    assert [trial.eval_id for trial in made] == ["new", "b", "a"]


def test_a_lost_trial_is_named_again_and_never_counts():
    deliberation = Deliberation([Asked("new", 1, 1)])
    trial = deliberation.next_trial()
    assert isinstance(trial, Trial)
    deliberation.started(trial)
    assert deliberation.next_trial() is None
    deliberation.lost(trial)
    assert deliberation.next_trial() == trial


def test_an_eval_that_nothing_can_pass_does_not_hold():
    assert Deliberation([Asked("new", 3, 4)]).next_trial() == Ruling(
        "new", (Outcome("new", 0, 0, held=False),)
    )


def test_no_eval_is_no_proof():
    with pytest.raises(ValueError, match="at least one"):
        Deliberation([])
    with pytest.raises(ValueError, match="none twice"):
        Deliberation([Asked("new", 1, 1), Asked("new", 2, 1)])


def test_a_trial_is_not_started_twice():
    deliberation = Deliberation([Asked("new", 2, 2)])
    deliberation.started(Trial("new", 0))
    with pytest.raises(ValueError, match="started before"):
        deliberation.started(Trial("new", 0))
