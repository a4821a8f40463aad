"""What is exported, as Inspect and promptfoo themselves read it, where `make bench-trials` installed them."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.installed import CACHE
from outerloop.evals.exchange.write import inspect_samples, promptfoo
from outerloop.evals.expect.answer import AnswerContains
from outerloop.evals.expect.composite import Not
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.model import Eval, Provenance

INSPECT, PROMPTFOO = CACHE / "inspect", CACHE / "promptfoo" / "node_modules"
EVAL = Eval(
    format=2,
    id="e1",
    agent="helpdesk",
    mode_id="m1",
    title="It says when",
    input={"messages": [{"role": "user", "parts": [{"type": "text", "content": "When, today?"}]}]},
    expect=(AnswerContains(text="TODAY", ignore_case=True), Not(of=Refused())),
    provenance=Provenance(drafted_by="t", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=()),
)
READ = """
import json, sys
from inspect_ai.dataset import json_dataset
print(json.dumps([[s.id, s.input[0].text, s.target] for s in json_dataset(sys.argv[1])]))
"""


@pytest.mark.skipif(not (INSPECT / "ready").exists(), reason="`make bench-trials` installs Inspect")
def test_inspect_reads_the_samples(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(inspect_samples([EVAL])[0])
    command = [str(INSPECT / "bin/python"), "-c", READ, str(tmp_path / "s.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == [["e1", "When, today?", "TODAY"]]


@pytest.mark.skipif(not PROMPTFOO.exists(), reason="`make bench-trials` installs promptfoo")
def test_promptfoo_runs_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(promptfoo([EVAL])[0])
    surroundings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
    }
    command = [str(PROMPTFOO / ".bin/node"), str(PROMPTFOO / ".bin/promptfoo"), "eval", "--no-cache"]
    subprocess.run(
        [*command, "-c", "c.yaml", "-o", "out.json"],
        cwd=tmp_path, env=surroundings, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]["results"]
    made = result["gradingResult"]["componentResults"]
    assert [(c["assertion"]["type"], c["pass"]) for c in made] == [
        ("icontains", True),
        ("not-is-refusal", True),
    ]
