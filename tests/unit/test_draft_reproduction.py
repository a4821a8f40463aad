"""Whether the base fails a draft is found as the gate finds it."""

import pytest

from outerloop.draft.core import reproduction
from outerloop.draft.core.reproduction import Asked, asking, log_above, log_below
from outerloop.gate.core import line
from outerloop.gate.core.base import REPRODUCED_AT, REPRODUCED_BELOW


@pytest.mark.parametrize(("passed", "failed"), [(0, 6), (3, 20), (17, 4), (40, 60), (0, 0), (150, 0)])
@pytest.mark.parametrize("at", [0.1, 0.55, 0.75])
def test_the_evidence_is_what_the_gate_would_see(passed: int, failed: int, at: float) -> None:
    assert log_below(passed, failed, at) == pytest.approx(float(line.log_below(passed, failed, at)), abs=1e-6)
    assert log_above(passed, failed, at) == pytest.approx(float(line.log_above(passed, failed, at)), abs=1e-6)


def test_the_line_and_the_level_are_the_gates() -> None:
    assert (reproduction.BELOW, reproduction.LEVEL) == (REPRODUCED_BELOW, REPRODUCED_AT)
    assert asking(0.75, 10).line == 0.55


def ask(*outcomes: bool, most: int = 150) -> Asked:
    asked = asking(0.75, most)
    for passed in outcomes:
        assert asked.reproduced is None
        asked = asked.count(passed=passed)
    return asked


def test_what_fails_always_is_proven_by_six_trials() -> None:
    assert ask(*[False] * 5).reproduced is None
    assert ask(*[False] * 6).reproduced is True


def test_what_passes_always_is_not_reproduced() -> None:
    assert ask(*[True] * 7).reproduced is None
    assert ask(*[True] * 8).reproduced is False


def test_what_stays_undecided_is_not_proven() -> None:
    assert ask(*[True, False] * 2, most=4).reproduced is False
