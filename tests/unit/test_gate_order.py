"""Which prior eval is tried first, and what is known of it."""

import pytest

from outerloop.gate.core.case import PriorEval
from outerloop.gate.core.order import TOUCHES, by_hazard, hazard, prior_evals
from outerloop.gate.core.standing import Standing

STANDINGS = {
    "b": Standing(bar=0.725, anchor=0.99, passed=98, trials=100),
    "a": Standing(bar=0.5, anchor=0.8, passed=40, trials=50),
    "c": Standing(bar=0.725, anchor=0.99, passed=20, trials=20),
}


def test_hazard_by_hand():
    assert hazard(0, 0, touched=False) == 0.5
    assert hazard(3, 9, touched=False) == 0.35
    assert hazard(3, 9, touched=True) == pytest.approx(0.35 * TOUCHES)
    # Never zero: what has never broken is tried too, and a touched one before one that broke once of hundred.
    assert hazard(0, 100, touched=True) > hazard(1, 100, touched=False) > hazard(0, 100, touched=False) > 0


def test_prior_evals_from_standings():
    priors = prior_evals(STANDINGS, blocks={"a": 2}, decisions=9, touched=["c"], costs={"a": 3.0, "b": 1.0})
    assert [prior.eval_id for prior in priors] == ["a", "b", "c"]
    assert priors[0] == PriorEval(
        eval_id="a", bar=0.5, anchor=0.8, passes=40, trials=50, hazard=0.25, cost=3.0
    )
    assert [prior.cost for prior in priors] == [3.0, 1.0, 2.0]
    assert by_hazard(priors) == [2, 0, 1]  # .25/2, .25/3, .05/1
    assert {p.cost for p in prior_evals(STANDINGS, blocks={}, decisions=0)} == {1.0}
    assert prior_evals({}, blocks={}, decisions=0) == ()
