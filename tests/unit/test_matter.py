"""Matter: what a change is judged by, from the suite's last certificate."""

from dataclasses import replace

import pytest

from engines.shipments import entry
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.evals.suite import Suite
from outerloop.gate.core.standing import Standing
from outerloop.gate.court.candidate import Candidate
from outerloop.gate.court.matter import Matter
from outerloop.gate.court.rows import Past
from outerloop.runtime.agentfile import AgentFile
from unit.test_verify_claims import CHANGE


def judged(asked: float, stood: float) -> float:
    """The bar that a change must prove which closes an eval again that asks `asked` and stands at `stood`."""
    reopened = entry("e1")
    reopened = replace(reopened, eval=reopened.eval.model_copy(update={"bar": asked, "margin": 0.1}))
    standings = {"e1": Standing(bar=stood, anchor=0.99, passed=80, trials=80)} if stood else {}
    last = replace(CHANGE, standings=standings)
    matter = Matter(
        change=ChangeProposed(),
        candidate=Candidate(
            "d9", "h", "t", "", AgentFile(agent="helpdesk", run=("x",), mutable=("prompts/**",))
        ),
        suite=Suite("s", (reopened,) if stood else (), last.to_json()),
        new=reopened,
        base_tree="b",
        base_files=(),
        files=(),
        changed=(),
        terms="",
    )
    new = matter.case(Past(), "s1").new
    assert new is not None
    return new.bar


@pytest.mark.parametrize(
    ("asked", "stood", "bar"), [(0.75, 0.0, 0.75), (0.75, 0.875, 0.875), (0.9, 0.6, 0.9), (0.75, 0.96, 0.95)]
)
def test_an_eval_is_closed_again_at_no_lower_a_bar_than_it_stood_at(
    asked: float, stood: float, bar: float
) -> None:
    assert judged(asked, stood) == bar
