"""The alarm when production's model changes under us: how rarely it is false, how soon it is right."""

import math
from datetime import date, timedelta
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core import sentinel
from outerloop.gate.core.claim import Bet
from outerloop.gate.core.drift import drift_bet
from outerloop.gate.core.sentinel import Detector, drawn, watched

BETS = st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.8)).map(
    lambda each: Bet(each[0], each[0] + 0.5 * (1 - each[0]), each[0] + each[1] * (1 - each[0]))
)
DAY = date(2026, 3, 1)


def probability(passes, trials, rate):
    return math.comb(trials, passes) * rate**passes * (1 - rate) ** (trials - passes)


@settings(max_examples=30, deadline=None)
@given(BETS, st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_at_the_edge_the_expected_value_is_the_number_of_days_over_every_history(bet, trials_a_day):
    expected = 0.0
    for history in product(*(range(n + 1) for n in trials_a_day)):
        weight, detector = 1.0, Detector()
        for passes, n in zip(history, trials_a_day, strict=True):
            weight *= probability(passes, n, bet.g)
            detector = detector.after(bet, passes, n - passes)
        expected += weight * detector.value
    assert expected == pytest.approx(len(trials_a_day))


@settings(max_examples=30, deadline=None)
@given(BETS, st.floats(0, 1), st.floats(1.05, 4))
def test_stopped_at_an_alarm_the_days_outweigh_the_value_over_every_history(bet, fraction, alarm):
    """E[time] ≥ E[R] at the first alarm, or after 7 days: so from start to alarm it is `alarm` on average."""
    rate = bet.g + (1 - bet.g) * fraction
    open_, time, value = {Detector(): 1.0}, 0.0, 0.0
    for _ in range(7):
        after: dict[Detector, float] = {}
        for detector, weight in open_.items():
            for passes in (0, 1):
                then = detector.after(bet, passes, 1 - passes)
                chance = weight * probability(passes, 1, rate)
                if then.value >= alarm:
                    time, value = time + chance * then.days, value + chance * then.value
                else:
                    after[then] = after.get(then, 0.0) + chance
        open_ = after
    time += sum(weight * 7 for weight in open_.values())
    value += sum(weight * detector.value for detector, weight in open_.items())
    assert value <= time + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=6), st.integers(1, 6), BETS)
def test_a_draw_of_unequal_evals_is_no_more_than_their_mean(rates, count, bet):
    """Maclaurin: over all draws without replacement, the factor of a day is at most that of the mean."""
    count = min(count, len(rates))
    shift = bet.g - sum(rates) / len(rates)
    rates = [rate + shift for rate in rates]
    if not all(0 <= rate <= 1 for rate in rates):
        return
    for low in sentinel._lower(bet.bar):
        on_pass, on_fail = low / bet.g, (1 - low) / (1 - bet.g)
        draws = [math.prod(r * on_pass + (1 - r) * on_fail for r in c) for c in combinations(rates, count)]
        assert sum(draws) / len(draws) <= 1 + 1e-9


def run_length(bet, rate, trials, *, alarm, lives=300, most=2000):
    """The mean number of days until an alarm, by simulation."""
    rng = np.random.default_rng(3)
    lows = np.array(sentinel._lower(bet.bar))[:, None]
    values, length, alive = np.zeros((3, lives)), np.zeros(lives), np.ones(lives, dtype=bool)
    for _ in range(most):
        passes = rng.binomial(trials, rate, lives)
        ratio = (lows / bet.g) ** passes * ((1 - lows) / (1 - bet.g)) ** (trials - passes)
        values = (1 + values) * ratio
        length += alive
        alive &= values.mean(axis=0) < alarm
        if not alive.any():
            break
    return length.mean()


@pytest.mark.parametrize(("anchor", "evals", "trials"), [(0.99, 18, 5), (0.99, 176, 20), (0.8, 24, 10)])
def test_run_lengths(anchor, evals, trials):
    bet = drift_bet(anchor, evals)
    assert run_length(bet, bet.g, trials, alarm=100) >= 100  # at the edge itself, the worst of "no change"
    assert run_length(bet, anchor - 0.3, trials, alarm=sentinel.ALARM) < 15
    assert (
        run_length(bet, anchor, trials, alarm=sentinel.ALARM, lives=40, most=600) > 550
    )  # as at the closing


def test_a_model_that_is_swapped_is_found_within_days():
    bet = drift_bet(0.99, 20)
    detector = Detector()
    for _ in range(60):
        detector = detector.after(bet, 20, 0)
    assert not detector.alarm
    assert detector.value < 10
    while not detector.alarm:
        detector = detector.after(bet, 17, 3)
    assert detector.days == 63
    assert Detector().after(bet, 0, 0) == Detector()
    assert math.isfinite(Detector().after(bet, 0, 100_000).value)


def test_what_is_drawn():
    evals = [f"e{i}" for i in range(50)]
    today = drawn(evals, 10, "helpdesk", DAY)
    assert len(set(today)) == 10
    assert today == drawn(reversed(evals), 10, "helpdesk", DAY)
    assert today != drawn(evals, 10, "helpdesk", DAY + timedelta(days=1))
    assert today != drawn(evals, 10, "another", DAY)
    month = [drawn(evals, 10, "helpdesk", DAY + timedelta(days=n)) for n in range(60)]
    assert set().union(*month) == set(evals)
    assert drawn(evals[:3], 10, "helpdesk", DAY) == evals[:3]


def test_small_strata_are_watched_too():
    found = watched([0.99, 0.99, 0.8])
    assert [(stratum.name, stratum.members) for stratum in found] == [("solid", (0, 1)), ("flaky", (2,))]
    assert watched([]) == []
