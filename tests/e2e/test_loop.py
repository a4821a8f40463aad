"""The loop closes, from production failure to shipped commit, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("ingest", "triage", "draft", "propose", "gate")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OUTERLOOP_", "ANTHROPIC_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "helpdesk_demo", "--dir", str(folder), *arguments],
        cwd=ROOT,
        env=env | {"PYTHONPATH": str(ROOT / "deploy" / "examples")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def still_running(folder: Path) -> list[str]:
    """Command lines of processes that were given `folder` in their arguments or environment."""

    def look() -> Iterator[str]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                if str(folder).encode() in command + (process / "environ").read_bytes():
                    yield command.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue

    return list(look())


def assert_nothing_left(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while left := still_running(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def assert_closed(output: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert result["modes_found"] == result["modes_closed"] >= 4, output
    assert result["shipped"] == result["modes_closed"]
    assert result["proposals"] == result["shipped"] + result["rejected"]
    # What is left is the script's disobedience.
    assert result["failure_rate_now"] < min(0.1, result["failure_rate_day1"] / 2)
    assert result["model"] == "a script, not a model"
    return result


def git(folder: Path, *arguments: str) -> str:
    repository = folder / "data" / "helpdesk.git"
    return subprocess.run(
        ["git", "-C", repository, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.timeout(700)
def test_the_loop_closes_also_where_an_earlier_run_left_its_data(tmp_path: Path):
    leftover = tmp_path / "data" / "leftover"
    leftover.parent.mkdir()
    leftover.write_text("from an earlier run")
    (tmp_path / "stack.lock").touch()
    demo = start(tmp_path, "--requests", "200", "--within", "600")
    output, _ = demo.communicate(timeout=650)
    assert demo.returncode == 0, output
    result = assert_closed(output)
    assert_nothing_left(tmp_path)
    assert not leftover.exists()
    # An earlier eval stopped a change, and the next attempt knew it.
    assert result["rejected"] >= 1
    assert "an earlier eval does not pass any more" in output
    assert "as the earlier attempt showed" in output

    # Every release is one atomic push: as many evals, certificates and decisions as releases.
    releases = git(tmp_path, "log", "--format=%(trailers:key=Outerloop-Eval,valueonly)", "main").split()
    suite = git(tmp_path, "ls-tree", "-r", "--name-only", "outerloop/suite").splitlines()
    decisions = git(tmp_path, "for-each-ref", "refs/outerloop/decisions").splitlines()
    assert len(releases) == result["shipped"] == len(decisions)
    assert {p.split("/")[1] for p in suite if p.startswith("evals/")} == set(releases)
    assert sum(p.startswith("certificates/") for p in suite) == result["shipped"]
    # What shipped touches nothing but what the owner declared mutable.
    changed = git(tmp_path, "log", "--format=", "--name-only", "main~4..main").split()
    assert all(path.startswith(("prompts/", "tools/")) for path in changed)
    assert (tmp_path / "trajectory.png").stat().st_size > 10_000


@pytest.mark.timeout(800)
def test_the_loop_closes_although_each_service_is_killed_in_the_middle_of_its_work(tmp_path: Path):
    demo = start(tmp_path, "--kill", ",".join(SERVICES), "--within", "700")
    output, _ = demo.communicate(timeout=750)
    assert demo.returncode == 0, output
    assert_closed(output)
    for service in SERVICES:
        assert f"kill -9 {service}" in output
        assert f"{service} is back" in output
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("seconds", [2, 14])
def test_ctrl_c_leaves_nothing_running(tmp_path: Path, seconds: float):
    demo = start(tmp_path)
    time.sleep(seconds)  # the moment is the point: while engines start, and with production running
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=40)
    assert demo.returncode == 130, output
    assert_nothing_left(tmp_path)
