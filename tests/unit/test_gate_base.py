"""What the base is asked: whether it fails an eval, with which error, for how many trials."""

# ruff: noqa: S311 (simulated agents are to be the same in every run)

import math
import random
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outerloop.gate.core.base import (
    CHECK_TRIALS,
    REPRODUCTION_TRIALS,
    BaseCheck,
    Finding,
    Question,
    Reproduction,
)
from outerloop.gate.core.case import Trial
from outerloop.gate.core.exact import Characteristic, ends
from outerloop.gate.core.line import log_above, log_below
from outerloop.gate.core.spending import BASE_SHARE, alpha_of

ALPHA = alpha_of(1)
LINES = st.floats(0.05, 0.95)


def exactly(question: Question, rate: float) -> Characteristic:
    """`certify` is that it is found fine, `block` that it is found broken."""
    broken, fine = math.log(1 / question.broken_at), math.log(1 / question.fine_at)
    line = question.line
    return ends(
        lambda s, f: (log_above(s, f, line) >= fine, log_below(s, f, line) >= broken), rate, question.cap
    )


def ask(question, passes, width=1, rng=None):
    """To the finding, `width` trials at once, which end in any order; gives the indices that were run."""
    running: list[Trial] = []
    made: list[int] = []
    while True:
        while len(running) < width and (trial := question.next_trial()) is not None:
            question.started(trial)
            running.append(trial)
        if question.finding is not None:
            return made
        trial = running.pop(rng.randrange(len(running)) if rng else 0)
        if rng and rng.random() < 0.1:
            question.lost(trial)
            continue
        made.append(trial.index)
        question.finished(trial, passed=passes(trial.index))


@settings(max_examples=40, deadline=None)
@given(LINES, st.integers(1, 60))
def test_the_expected_e_value_is_one_on_the_line(line, n):
    passes = np.arange(n + 1, dtype=float)
    ways = np.array([math.comb(n, s) for s in range(n + 1)])
    weights = ways * line**passes * (1 - line) ** (n - passes)
    for log_e in (log_below, log_above):
        assert (weights * np.exp(log_e(passes, n - passes, line))).sum() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(LINES, st.integers(0, 40), st.integers(0, 40), st.floats(0, 1))
def test_each_side_is_a_supermartingale_under_its_null(line, passes, fails, fraction):
    above, below = line + (1 - line) * fraction, line * fraction
    for log_e, rate in ((log_below, above), (log_above, below)):
        now = log_e(passes, fails, line)
        on_pass = np.exp(log_e(passes + 1, fails, line) - now)
        on_fail = np.exp(log_e(passes, fails + 1, line) - now)
        after = rate * on_pass + (1 - rate) * on_fail
        assert after <= 1 + 1e-9


@pytest.mark.parametrize("bar", [0.5, 0.75, 0.9])
def test_no_finding_is_wrong_more_often_than_its_level(bar):
    for question in (Reproduction("e", bar), BaseCheck("e", bar, ALPHA), BaseCheck("e", bar, alpha_of(500))):
        for beyond in (0, 0.02, 0.1):
            assert exactly(question, question.line + beyond).block <= question.broken_at
            assert exactly(question, question.line - beyond).certify <= question.fine_at
    assert BaseCheck("e", bar, ALPHA).broken_at == BASE_SHARE * ALPHA


def test_a_base_that_always_fails_takes_six_trials():
    question = Reproduction("e", 0.75)
    assert question.line == 0.55
    assert ask(question, lambda _: False) == list(range(6))
    assert (question.finding, question.passed, question.trials) == (Finding.BROKEN, 0, 6)
    critical = Reproduction("e", 0.9)
    ask(critical, lambda _: False)
    assert (critical.finding, critical.trials) == (Finding.BROKEN, 4)


@pytest.mark.parametrize(
    ("rate", "broken", "fine", "trials"),
    [
        (0, 1, 0, 6),
        (0.2, 0.999, 0, 14.1),
        (0.3, 1, 0, 28),
        (0.4, 0.837, 0.001, 76),
        (0.55, 0.031, 0.032, 142),
        (0.95, 0, 1, 10),
    ],
)
def test_the_characteristic_of_a_reproduction(rate, broken, fine, trials):
    exact = exactly(Reproduction("e", 0.75), rate)
    assert exact.block == pytest.approx(broken, abs=0.002)
    assert exact.certify == pytest.approx(fine, abs=0.002)
    assert exact.trials == pytest.approx(trials, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "broken", "fine", "trials"),
    [(0, 1, 0, 8), (0.4, 0.996, 0, 37), (0.5, 0.756, 0, 69), (0.9, 0, 0.978, 38), (0.98, 0, 1, 17)],
)
def test_the_characteristic_of_a_base_check(rate, broken, fine, trials):
    exact = exactly(BaseCheck("e", 0.725, ALPHA), rate)
    assert exact.block == pytest.approx(broken, abs=0.002)
    assert exact.certify == pytest.approx(fine, abs=0.002)
    assert exact.trials == pytest.approx(trials, rel=0.03)


def test_the_characteristic_is_that_of_the_question_itself():
    rate, cap = 0.3, 9
    make = partial(Question, "e", 0.5, broken_at=0.2, fine_at=0.3, cap=cap)
    found: dict[Finding | None, float] = dict.fromkeys(Finding, 0.0)
    trials = 0.0
    for sequence in product((True, False), repeat=cap):
        question = make()
        ask(question, lambda index: sequence[index])  # noqa: B023 (asked at once)
        weight = rate ** sum(sequence) * (1 - rate) ** (cap - sum(sequence))
        found[question.finding] += weight
        trials += weight * question.trials
    exact = exactly(make(), rate)
    assert (exact.block, exact.certify, exact.undecided, exact.trials) == pytest.approx(
        (*found.values(), trials)
    )


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([0.0, 0.4, 0.55, 0.9]), st.integers(0, 10**6), st.integers(2, 20))
def test_the_finding_is_the_same_in_any_order_of_completion_and_after_a_crash(rate, seed, width):
    toss = random.Random(seed)
    coins = [toss.random() < rate for _ in range(REPRODUCTION_TRIALS)]
    alone, together = Reproduction("e", 0.75), Reproduction("e", 0.75)
    made = ask(alone, coins.__getitem__)
    more = ask(together, coins.__getitem__, width, toss)
    assert (together.finding, together.passed, together.trials) == (
        alone.finding,
        alone.passed,
        alone.trials,
    )
    assert sorted(more) == made  # nothing that runs ahead is in vain
    again = Reproduction("e", 0.75)
    toss.shuffle(record := made[: len(made) // 2])
    for index in record:
        again.started(Trial("e", index))
        again.finished(Trial("e", index), passed=coins[index])
    rest = ask(again, coins.__getitem__)
    assert (again.finding, again.passed) == (alone.finding, alone.passed)
    assert sorted(record + rest) == made


def test_between_is_undecided_and_misuse_is_an_error():
    question = BaseCheck("e", 0.725, ALPHA)
    ask(question, lambda index: index % 3 != 0)
    assert (question.finding, question.trials) == (Finding.UNDECIDED, CHECK_TRIALS)
    assert question.next_trial() is None
    assert question.log_broken < math.log(1 / question.broken_at)
    with pytest.raises(ValueError, match="on either side"):
        Reproduction("e", 0.2)
    fresh = BaseCheck("e", 0.725, ALPHA)
    fresh.started(Trial("e", 0))
    assert fresh.running == {("e", 0)}
    with pytest.raises(ValueError, match="started before"):
        fresh.started(Trial("e", 0))
