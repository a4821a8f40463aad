"""The bench of trials, in its short form: it runs, and says what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_the_short_form_measures_our_trials() -> None:
    command = [sys.executable, "-m", "bench.bench_trials", "--short"]
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    (row,) = result["rows"]
    assert row["harness"] == "outerloop, bubblewrap"
    assert row["overhead_ms"] > 0
    assert row["trials_per_second"] > 0
    assert result["bare"]["trial_cpu_ms"] > result["bare"]["cpu_ms"] > 0
