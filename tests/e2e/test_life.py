"""A short life of the gate: one proposal of a kind, and kill -9 in the middle of it; see bench.life."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.test_loop import assert_nothing_left

TESTS = Path(__file__).parents[1]


def lived(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OUTERLOOP_", "ANTHROPIC_"))}
    life = subprocess.run(
        [sys.executable, "-m", "bench.life", "--dir", str(folder), *arguments],
        env=env | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert life.returncode == 0, life.stdout + life.stderr
    result: dict[str, Any] = json.loads(life.stdout.splitlines()[-1])
    return result, life.stdout


@pytest.mark.timeout(280)
def test_a_life_ships_what_is_good_and_nothing_else_although_the_gate_is_killed(tmp_path: Path):
    arguments = ("--proposals", "5", "--evals", "2", "--kills", "2", "--within", "240")
    result, said = lived(tmp_path / "life", *arguments)
    assert result["verdicts"] == {
        "good": {"ship": 1},
        "cosmetic": {"reject": 1},
        "regressing": {"reject": 1},
        "hardcoding": {"reject": 1},
        "hostile": {"reject": 1},
    }
    assert result["regressions_shipped"] == result["hostile_escapes"] == result["troubles"] == []
    assert result["hardcoding"] == {"proposed": 1, "rejected_by_variants": 1}
    assert result["several_verdicts"] == []
    assert result["lost_verdicts"] == result["crashes"] == 0
    assert result["kills"] >= 1
    assert result["kills_after_push"] == 1, said
    # The founding's two and the good one, each with its proof; what is shipped verifies from git alone.
    assert result["verified"] == {"commits": 3, "findings": []}
    assert result["evals_at_last"] == 3
    assert result["trials"] > result["shipped_beside_bound"]["lower_bound"] > 0
    assert_nothing_left(tmp_path)
