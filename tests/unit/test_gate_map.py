"""The map of what another model breaks, and the list that e-BH makes of it."""

# ruff: noqa: S311 (simulated agents are to be the same in every run)

import math
import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core.case import PriorEval, Trial
from outerloop.gate.core.claim import bets
from outerloop.gate.core.ebh import least_log_e, rejected
from outerloop.gate.core.modelmap import MapTerms, ModelMap, Reading
from outerloop.gate.core.spending import DELTA, HARMONIC, MODEL_SHARE, Ledger
from unit.test_gate_confirmation import coins, prior

TERMS = MapTerms()


def evals(count):
    return [prior(f"e{i}") for i in range(count)]


def draw(chart, passes, *, width=1, rng=None):
    """Until all is done, `width` at once, which end in any order; gives what was run."""
    running: list[Trial] = []
    made: list[Trial] = []
    while True:
        while len(running) < width and (trial := chart.next_trial()) is not None:
            chart.started(trial)
            running.append(trial)
        if not running:
            assert chart.done
            return made
        trial = running.pop(rng.randrange(len(running)) if rng else 0)
        if rng and rng.random() < 0.1:
            chart.lost(trial)
            continue
        made.append(trial)
        chart.finished(trial, passed=passes(trial.eval_id, trial.index))


@settings(deadline=None)
@given(st.lists(st.floats(-5, 12), max_size=7), st.floats(0.01, 0.5))
def test_the_list_is_the_largest_that_supports_itself(log_e, fdr):
    """A set supports itself if the e-value of each member is at least m / (fdr·its size)."""
    positions = range(len(log_e))
    sets = [set(s) for k in range(len(log_e) + 1) for s in combinations(positions, k)]
    supported = [s for s in sets if all(log_e[i] >= least_log_e(len(log_e), fdr, len(s)) for i in s)]
    assert set(rejected(log_e, fdr)) == max(supported, key=len)


def test_the_list_by_hand():
    assert rejected([], 0.1) == []
    assert rejected([math.log(39), 0.0, 0.0, 0.0], 0.1) == []
    assert rejected([0.0, math.log(41), 0.0, 0.0], 0.1) == [1]
    assert rejected([math.log(21), 0.0, math.log(21), 0.0], 0.1) == [0, 2]  # 4 / (.1·2) = 20


def test_every_eval_comes_to_its_own_verdict():
    chart = ModelMap(evals(30), TERMS)
    passes = coins(4, {"e3": 0.3, "e7": 0.0, "e29": 0.5})
    made = draw(chart, passes)
    places = chart.places()
    assert [p.evidence.name for p in places] == [f"e{i}" for i in range(30)]
    broken = {p.evidence.name for p in places if p.reading is Reading.BROKEN}
    assert broken == {"e3", "e7", "e29"}
    assert all(p.reading is Reading.HOLDS for p in places if p.evidence.name not in broken)
    assert all(p.evidence.dn >= math.log(30 / 0.1) for p in places if p.reading is Reading.BROKEN)
    assert all(p.evidence.up >= math.log(20) for p in places if p.reading is Reading.HOLDS)
    assert len(made) == sum(p.evidence.trials for p in places) < 30 * 20


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_the_map_is_the_same_in_any_order_of_completion_and_after_a_crash(seed, width):
    passes, rng = coins(seed, {"e1": 0.2, "e2": 0.8, "e3": 0.9}), random.Random(seed)
    terms = replace(TERMS, trials_an_eval=40)
    alone, together, again = (ModelMap(evals(6), terms) for _ in range(3))
    made = draw(alone, passes)
    more = draw(together, passes, width=width, rng=rng)
    assert together.places() == alone.places()
    assert sorted(more) == sorted(made)  # nothing that runs ahead is in vain
    rng.shuffle(record := made[: len(made) // 2])
    for trial in record:
        again.started(trial)
        again.finished(trial, passed=passes(trial.eval_id, trial.index))
    rest = draw(again, passes, width=width)
    assert again.places() == alone.places()
    assert sorted(record + rest) == sorted(made)


def test_at_the_cap_it_is_undecided_unless_the_list_takes_it():
    # e0 stays at its cap: alone it is not on the list, among many broken ones it is.
    passes = coins(0, {f"e{i}": 0.0 for i in range(1, 30)})
    one_fails = lambda eval_id, index: index % 5 > 1 if eval_id == "e0" else passes(eval_id, index)  # noqa: E731
    terms = replace(TERMS, trials_an_eval=10)
    among = ModelMap(evals(30), terms)
    draw(among, one_fails)
    assert among.places()[0].reading is Reading.BROKEN
    alone = ModelMap(evals(30), terms)
    draw(alone, lambda eval_id, index: eval_id != "e0" or index % 5 > 1)
    first = alone.places()[0]
    assert (first.reading, first.evidence.trials) == (Reading.UNDECIDED, 10)


def test_the_share_of_false_ones_on_the_list():
    """Evals at the very edge of "as good as the base" beside some that are broken."""
    fdr, total, runs = 0.3, 0.0, 150
    rng = random.Random(5)
    weak = [PriorEval(eval_id=f"e{i}", bar=0.5, anchor=0.9, passes=18, trials=20) for i in range(12)]
    edge = bets([(0.5, 18, 20)])[0].g
    for _ in range(runs):
        chart = ModelMap(weak, MapTerms(fdr=fdr, trials_an_eval=60))
        draw(chart, lambda eval_id, _: rng.random() < (0.1 if eval_id in {"e0", "e1"} else edge))
        listed = [p.evidence.name for p in chart.places() if p.reading is Reading.BROKEN]
        assert {"e0", "e1"} <= set(listed)
        total += (len(listed) - 2) / len(listed)
    assert 0 < total / runs <= fdr * 10 / 12 + 0.03


def test_an_empty_map_and_misuse():
    assert ModelMap([], TERMS).done
    assert ModelMap([], TERMS).places() == ()
    with pytest.raises(ValueError, match="twice"):
        ModelMap([prior("a"), prior("a")], TERMS)


def test_an_upgrade_is_confirmed_from_a_ledger_of_its_own():
    ledger = Ledger(delta=DELTA * MODEL_SHARE)
    assert ledger.alpha(ledger.reservation("bundle")) == pytest.approx(0.01 / HARMONIC)
