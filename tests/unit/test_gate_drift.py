import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core.bars import HIGHEST, LOWEST, Margin, frozen_bar, raised, shown_rate
from outerloop.gate.core.claim import Bet, State, Thresholds, log_steps
from outerloop.gate.core.drift import Pool, Stratum, drift_bet, drift_thresholds, margin_of, strata

FLOORS = [
    (0.99, 18, 0.056, 5e-4),
    (0.99, 176, 0.013, 5e-4),
    (0.99, 1760, 0.0035, 5e-5),
    (0.8, 24, 0.12, 5e-3),
    (0.8, 240, 0.037, 5e-4),
]


@pytest.mark.parametrize(("anchor", "evals", "published", "half"), FLOORS)
def test_the_published_margins(anchor, evals, published, half):
    assert abs(margin_of(anchor, evals) - published) <= half


@pytest.mark.parametrize(("anchor", "evals"), [each[:2] for each in FLOORS])
def test_24_rounds_certify_but_for_about_one_percent(anchor, evals):
    bet = drift_bet(anchor, evals)
    rng = np.random.default_rng(1)
    passes = rng.binomial(evals, anchor, size=(20_000, 24)).cumsum(axis=1)
    trials = evals * np.arange(1, 25)
    on_pass, on_fail = log_steps(bet.bar, bet.p1)
    up = passes * on_pass + (trials - passes) * on_fail
    missed = (up.max(axis=1) < math.log(7.4855 * 80 / 0.05)).mean()
    assert 0.004 < missed < 0.016


@settings(deadline=None)
@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=5), st.floats(0.05, 0.5))
def test_a_round_is_valid_for_unequal_rates(rates, lead):
    """AM-GM: over all outcomes of a round the e-value grows by at most 1 when the mean is at the floor."""
    floor = sum(rates) / len(rates)
    bet = Bet(floor, floor + (1 - floor) * lead, floor + (1 - floor) * lead / 2)
    for null, against in ((bet.bar, bet.p1), (bet.g, bet.bar)):
        shift = null - floor  # for `dn` the mean is at g
        moved = [rate + shift for rate in rates]
        if not all(0 <= rate <= 1 for rate in moved):
            continue
        on_pass, on_fail = log_steps(null, against)
        expected = 0.0
        for outcome in product((True, False), repeat=len(moved)):
            weight = math.prod(r if ok else 1 - r for r, ok in zip(moved, outcome, strict=True))
            expected += weight * math.exp(sum(on_pass if ok else on_fail for ok in outcome))
        assert expected <= 1 + 1e-9


@pytest.mark.parametrize("anchors", [[0.99] * 12, [0.99] * 6 + [0.7] * 6])
def test_looking_after_every_round_keeps_the_level_for_unequal_rates(anchors):
    """Simulated at the edge of each null: the mean is exactly at the floor, or exactly at g."""
    lives, rounds, alpha, block_at = 3000, 80, 0.1, 0.05
    anchor = sum(anchors) / len(anchors)
    bet = drift_bet(anchor, len(anchors))
    rng = np.random.default_rng(5)
    trials = len(anchors) * np.arange(1, rounds + 1)
    for null, low, level in ((bet.bar, bet.p1, alpha), (bet.g, bet.bar, block_at)):
        rates = np.array(anchors) - (anchor - null)
        passes = (rng.random((lives, rounds, len(anchors))) < rates).sum(axis=2).cumsum(axis=1)
        on_pass, on_fail = log_steps(null, low)
        most = (passes * on_pass + (trials - passes) * on_fail).max(axis=1)
        wrong = (most >= math.log(1 / level)).mean()
        assert 0 < wrong <= level + 3 * math.sqrt(level / lives)


def test_rounds_count_only_when_complete_and_in_order():
    pool = Pool(Stratum("solid", (0, 1, 2), Bet(0.8, 0.9, 0.88)), Thresholds(100, 100))
    for number in (0, 1, 2):
        pool.count(number, passed=True)  # one eval runs ahead
    pool.count(1, passed=False)
    pool.count(1, passed=True)
    assert (pool.rounds, pool.claim.trials) == (0, 0)  # round 1 is complete, round 0 is not
    pool.count(0, passed=True)
    pool.count(0, passed=False)
    assert (pool.rounds, pool.claim.passes, pool.claim.fails) == (2, 4, 2)


def test_strata():
    found = strata([0.99] * 6 + [0.8] * 4)
    assert [(s.name, s.members) for s in found] == [("solid", (0, 1, 2, 3, 4, 5))]
    assert [s.name for s in strata([0.95] * 5 + [0.9499] * 5)] == ["solid", "flaky"]
    assert strata([]) == []


@settings(deadline=None)
@given(st.floats(0.01, 1), st.integers(5, 3000))
def test_a_floor_is_always_a_bet(anchor, evals):
    bet = drift_bet(anchor, evals)
    assert 0 < bet.bar < bet.g < bet.p1 <= anchor


def test_a_pool_blocks_a_mean_that_slipped():
    found = strata([0.99] * 20)
    pool = Pool(found[0], drift_thresholds(0.0067, 1, 0.02))
    rng = np.random.default_rng(3)
    number = 0
    while pool.claim.state is State.OPEN:
        for _ in range(20):
            pool.count(number, passed=bool(rng.random() < 0.85))
        number += 1
    assert pool.claim.state is State.BLOCKED


def test_bars():
    assert frozen_bar(98, 100) == 0.725
    assert frozen_bar(98, 100, Margin.CRITICAL) == 0.875
    assert frozen_bar(98, 100, Margin.COLD) == 0.575
    assert frozen_bar(0, 10) == LOWEST
    assert frozen_bar(1000, 1000, 0.0) == HIGHEST
    assert shown_rate(3, 3) == 3.5 / 4
    with pytest.raises(ValueError, match="cannot have passed"):
        shown_rate(4, 3)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from(Margin))
def test_a_bar_is_on_the_grid_and_never_above_what_was_shown(passes, fails, margin):
    bar = frozen_bar(passes, passes + fails, margin)
    assert LOWEST <= bar <= HIGHEST
    assert bar * 40 == pytest.approx(round(bar * 40))
    assert bar <= max(LOWEST, shown_rate(passes, passes + fails) - margin + 1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1))
def test_bars_are_only_ever_raised(closings):
    bar = LOWEST
    for passes, fails in closings:
        higher = raised(bar, frozen_bar(passes, passes + fails))
        assert higher >= bar
        bar = higher
