"""The bench of drafts, in its short form on one file: it runs, and says what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TRACES = TESTS.parents[1] / "shared" / "traces"


@pytest.mark.skipif(not TRACES.is_dir(), reason=f"the recorded traces are not in {TRACES}")
def test_the_short_form_measures_the_drafts_of_one_file() -> None:
    command = [sys.executable, "-m", "bench.bench_draft", "--files", "workspace_agentdojo"]
    done = subprocess.run(
        [*command, "--traces", str(TRACES)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    (found,) = json.loads(done.stdout.splitlines()[-1])["files"].values()
    assert found["modes"] >= 1
    assert 0 < found["valid"] <= 1
    assert found["seconds"] > 0
    assert len(found["undraftable"]) == round(found["modes"] * (1 - found["valid"]))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.bench_draft", "--traces", str(tmp_path)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"there is no {tmp_path}/airline_tau_gpt4o.otlp.pb.zst" in done.stderr
