"""The gate for people's changes, as CI calls it: a clone, the command line, and the exit code."""

# ruff: noqa: F811 - pytest's fixtures
import asyncio
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from integration.test_gate import Court, court, database, db, make, model  # noqa: F401 - fixtures
from outerloop.gate.release import ledger
from outerloop.gate.verify.clone import open_clone
from outerloop.gate.verify.report import verify

pytestmark = pytest.mark.asyncio(loop_scope="module")

FETCH = ("fetch", "-q", "origin", "+refs/heads/outerloop/suite:refs/heads/outerloop/suite")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    return subprocess.check_output(["git", *identity, *arguments], cwd=folder, text=True).strip()


def cloned(court: Court, folder: Path) -> Path:
    """A clone of the agent after its first release, with what the documentation says to fetch."""
    remote = court.settings.repositories()[court.agent][0]
    git(folder, "clone", "-q", "-b", "main", remote, "clone")
    clone = folder / "clone"
    git(clone, *FETCH, "+refs/outerloop/*:refs/outerloop/*")
    return clone


def committed(clone: Path, policy: str) -> str:
    (clone / "prompts/policy.md").write_text(policy)
    git(clone, "commit", "-qam", "Change the policy")
    return git(clone, "rev-parse", "HEAD")


async def outerloop(court: Court, clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a clone, as CI calls it."""
    settings = {
        "ANTHROPIC_BASE_URL": court.settings.anthropic_base_url,
        "ANTHROPIC_API_KEY": "key",
        "OUTERLOOP_SANDBOX": "none",
        "OUTERLOOP_GATE_MODEL_CALLS": str(court.settings.gate_model_calls),
        "OUTERLOOP_AGENT_ENVIRONMENT": sys.prefix,
    }
    command = [sys.executable, "-m", "outerloop", *arguments]
    env = {k: v for k, v in os.environ.items() if not k.startswith("OUTERLOOP_")} | settings
    run = partial(subprocess.run, cwd=clone, env=env, capture_output=True, text=True, check=False)
    return await asyncio.to_thread(run, command)


async def checked(court: Court, clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await outerloop(court, clone, "gate", "check", "--base", "origin/main", *arguments)


async def test_a_persons_change_ships_only_if_every_eval_still_holds(court: Court, tmp_path: Path) -> None:
    await court.gate().handle([court.delivery()])
    clone = cloned(court, tmp_path)
    committed(clone, "Be brief, and kind.\n")
    good = await checked(court, clone, "--head", "HEAD", "--json")
    assert good.returncode == 0, good.stderr
    said = json.loads(good.stdout)
    assert said["verdict"] == "ship"
    assert [(c["kind"], c["state"]) for c in said["claims"]] == [("prior", "certified")]
    assert good.stderr.count("trial ") == said["claims"][0]["trials"]
    again = await checked(court, clone, "--head", "HEAD", "--markdown")
    assert again.returncode == 0
    assert "trial " not in again.stderr  # all on record: the same content has the same verdict
    assert "| ✅ | prior: `It answers` |" in again.stdout

    git(clone, "reset", "-q", "--hard", "origin/main")
    (clone / "docs").mkdir()
    (clone / "docs/help.md").write_text("No eval depends on this.\n")
    git(clone, "add", "docs")
    git(clone, "commit", "-qm", "Help")
    free = await checked(court, clone, "--head", "HEAD", "--json")
    assert (free.returncode, "trial " in free.stderr) == (0, False), free.stderr
    assert json.loads(free.stdout)["claims"] == []

    committed(clone, "Be long-winded.\n")
    bad = await checked(court, clone, "--head", "HEAD", "--junit")
    assert bad.returncode == 1, bad.stderr
    assert "an earlier eval does not pass any more" in str(
        [f.get("message") for f in ET.fromstring(bad.stdout).iter("failure")]  # noqa: S314 - our own
    )
    entries = [git(clone, "rev-list", "--count", ref) for ref in (ledger.REF, ledger.CHECKS)]
    # A pair of the gate's; pairs of the three checks that held, and what was rejected keeps its index: there
    # is another line for how many trials that was seen by.
    assert entries == ["2", "8"]
    assert (await verify(await open_clone(clone))).findings == ()

    # Where its trials are lost it is rolled anew, and pays for it.
    assert json.loads((await checked(court, clone, "--head", "HEAD", "--json")).stdout)["ledger_index"] == 1
    shutil.rmtree(clone / ".git/outerloop/trials")
    assert json.loads((await checked(court, clone, "--head", "HEAD", "--json")).stdout)["ledger_index"] == 2


async def test_nothing_ships_where_not_even_the_base_runs(
    court: Court, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await court.gate().handle([court.delivery()])
    clone = cloned(court, tmp_path)
    committed(clone, "Be brief, and kind.\n")
    bin_ = tmp_path / "environment/bin"
    bin_.mkdir(parents=True)
    lacks = "case \"$*\" in '-S agent.py') echo No module named openai >&2; exit 1;; esac"
    for name in ("python", "python3"):  # it runs the sandbox, and lacks what the agent needs
        (bin_ / name).write_text(f'#!/bin/sh\n{lacks}\nexec {sys.executable} "$@"\n')
        (bin_ / name).chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    lacking = await checked(court, clone, "--head", "HEAD", "--json")
    assert (lacking.returncode, lacking.stdout) == (3, "")
    assert "sent no trace (it did not ask its model either)" in lacking.stderr
    assert "No module named openai" in lacking.stderr
    monkeypatch.undo()  # nothing of that is remembered
    whole = await checked(court, clone, "--head", "HEAD", "--json")
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["claims"]


async def test_what_the_base_fails_too_is_named_where_a_change_ships(court: Court, tmp_path: Path) -> None:
    await court.gate().handle([court.delivery()])
    clone = cloned(court, tmp_path)
    code = (clone / "agent.py").read_text()  # its failure is to be seen, not that it does not run
    mute = 'import os; os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"'
    (clone / "agent.py").write_text(code.replace("sys.exit(3)", mute))
    committed(clone, "Be long-winded.\n")
    git(clone, "push", "-q", "origin", "HEAD:main")
    committed(clone, "Be long-winded, and kind.\n")
    said = await checked(court, clone, "--head", "HEAD", "--markdown")
    assert said.returncode == 0, said.stderr
    assert "of what the base fails too nothing was asked:" in said.stdout
    assert "It answers" in said.stdout


async def test_what_cannot_be_judged_is_no_verdict(court: Court, tmp_path: Path) -> None:
    remote = court.settings.repositories()[court.agent][0]
    git(tmp_path, "clone", "-q", "-b", "main", remote, "clone")
    clone = tmp_path / "clone"
    committed(clone, "Be brief.\n")
    missing = await checked(court, clone, "--head", "HEAD")
    assert missing.returncode == 3
    assert "git fetch origin '+refs/heads/outerloop/suite" in missing.stderr
    unknown = await checked(court, clone, "--head", "nowhere")
    assert (unknown.returncode, "no commit 'nowhere'" in unknown.stderr) == (3, True)
    behind = await checked(court, clone, "--head", "HEAD", "--agent", str(tmp_path / "gone"))
    assert behind.returncode == 3
    unread = await checked(court, clone, "--nope")
    assert unread.returncode == 3
