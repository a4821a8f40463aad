"""`outerloop evals run|diff`: real trials of a small agent at commits of a real repository."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration.test_trial import AGENT, GET
from outerloop.evals.expect.answer import AnswerContains
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.model import Cassette, Divergence, Eval, Provenance, RecordedCall
from outerloop.evals.suite import Entry, files_of

TERMS = "agent: small\nrun: [python, -S, agent.py]\nmutable: ['*.py']\n"
EVAL = Eval(
    format=2,
    id="e1",
    agent="small",
    mode_id="m1",
    title="does its steps",
    input={"steps": [GET, ["tool", {"name": "get_order", "arguments": {"order_id": "A-2"}}]]},
    expect=(ToolCalled(tool="get_order"), AnswerContains(text="recorded")),
    divergence=Divergence.FAIL,
    provenance=Provenance(drafted_by="t", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=()),
)
TAPE = Cassette(calls=(RecordedCall(tool="get_order", arguments={"order_id": "A-1"}, result="recorded"),))


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def outerloop(*arguments: str, status: int = 0) -> Any:
    command = [sys.executable, "-m", "outerloop", "evals", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    if status:
        return done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """A repository of two commits: one that does what it is asked, and one that leaves its tools alone."""
    folder = tmp_path / "agent"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for agent in (AGENT, AGENT.replace('if do == "tool":', 'if do == "no tool":')):
        (folder / "outerloop.yaml").write_text(TERMS)
        (folder / "agent.py").write_text(agent)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "x")
    for path, content in files_of(Entry(EVAL, TAPE)).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return folder


def test_an_eval_is_run_at_a_commit_and_its_results_are_compared(agent: Path) -> None:
    eval_, here = str(agent.parent / "evals/e1"), ("--agent", str(agent), "--trials", "1", "--json")
    good = outerloop("run", eval_, "--commit", "HEAD~1", *here)
    assert (good["passed"], good["trials"], good["reasons"]) == (1, 1, {})
    assert (good["calls"], good["diverged"], good["fidelity"]) == (2, 1, 0.5)
    assert good["content_sha256"] == Entry(EVAL, TAPE).content_sha256
    said = outerloop("diff", eval_, *here)
    assert (said["from"]["passed"], said["to"]["passed"]) == (1, 0)
    assert said["no_more"] == []
    assert "expected a call of get_order: it was never called" in said["new"]


def test_two_evals_are_compared_in_plain_words(agent: Path) -> None:
    other = EVAL.model_copy(update={"id": "e2", "expect": EVAL.expect[:1], "margin": 0.4})
    for path, content in files_of(Entry(other, TAPE)).items():
        (agent.parent / path).parent.mkdir(parents=True, exist_ok=True)
        (agent.parent / path).write_bytes(content)
    evals = agent.parent / "evals"
    asked = ("diff", str(evals / "e1"), str(evals / "e2"), "--agent", str(agent))
    told = outerloop(*asked)
    assert told.splitlines() == [
        "same: no",
        'only first: says "recorded" in its answer',
        "differing: margin",
    ]
    assert outerloop(*asked, "--json") == {
        "same": False,
        "only_first": ['says "recorded" in its answer'],
        "only_second": [],
        "differing": ["margin"],
    }


def test_what_is_missing_is_said(agent: Path) -> None:
    folder = agent.parent / "evals/e1"
    (folder / "cassette.jsonl").unlink()
    said = outerloop("run", str(folder), "--agent", str(agent), status=2)
    assert "there is no" in said
    assert "outerloop evals record" in said
