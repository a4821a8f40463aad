"""`outerloop triage score` on files, and the short form of its benchmark where real traces are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]
from google.protobuf.json_format import MessageToDict

from samples import Call, run, trace_id

FAILED = Call("get_order", {"id": "1"}, "Error: no such order", failed=True)
REAL = Path(os.environ.get("OUTERLOOP_TRACES", Path(__file__).parents[3] / "shared" / "traces"))


def score(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outerloop", "triage", "score", *map(str, arguments), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def delimited() -> bytes:
    payloads = [run(1, "Hi").SerializeToString(), run(2, "Hi", FAILED).SerializeToString()]
    return b"".join(_VarintBytes(len(p)) + p for p in payloads)


def as_json() -> bytes:
    lines = []
    for exported in (run(1, "Hi"), run(2, "Hi", FAILED)):
        value = MessageToDict(exported, use_integers_for_enums=True)
        for group in value["resourceSpans"]:
            for scoped in group["scopeSpans"]:
                for span, original in zip(
                    scoped["spans"], exported.resource_spans[0].scope_spans[0].spans, strict=True
                ):
                    span["traceId"], span["spanId"] = original.trace_id.hex(), original.span_id.hex()
                    span["parentSpanId"] = original.parent_span_id.hex()
        lines.append(json.dumps(value))
    return "\n".join(lines).encode()


@pytest.mark.parametrize("name", ["a.pb", "a.pb.zst", "a.jsonl"])
def test_a_line_a_trace(tmp_path: Path, name: str) -> None:
    content = as_json() if name.endswith("jsonl") else delimited()
    file = tmp_path / name
    file.write_bytes(zstandard.compress(content) if name.endswith("zst") else content)
    done = score(file)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["trace_id"], line["failed"], line["basis"]) for line in lines] == [
        (trace_id(1), False, "rules"),
        (trace_id(2), True, "rules"),
    ]
    assert lines[1]["signals"][0]["kind"] == "tool_error"
    assert lines[1]["span_id"] == lines[1]["signals"][0]["span_id"]
    assert lines[0]["score"] < lines[1]["score"]
    assert lines[1]["mode"]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("{", "labels.jsonl:1: expected"),
        ('\n{"trace_id": "1"}', "labels.jsonl:2: expected"),
        ('{"trace_id": "1", "success": "yes"}', "labels.jsonl:1: success must be true or false, got 'yes'"),
        ("[1]", "labels.jsonl:1: expected"),
    ],
)
def test_labels_that_are_none_are_named(tmp_path: Path, labels: str, sentence: str) -> None:
    (tmp_path / "a.pb").write_bytes(delimited())
    (tmp_path / "labels.jsonl").write_text(labels)
    done = score(tmp_path / "a.pb", "--labels", tmp_path / "labels.jsonl")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(b"\x05ab")
    for file in (tmp_path / "a.pb", tmp_path / "none.pb"):
        done = score(file)
        assert done.returncode == 2
        assert str(file) in done.stderr


@pytest.mark.skipif(not REAL.exists(), reason="real traces are not part of the project")
def test_real_failures_are_told_and_grouped() -> None:
    from bench.bench_triage import measured  # noqa: PLC0415 - needs what is beside the project

    found = measured(REAL, (0,), short=True)
    assert found["airline"]["auc"] > max(0.80, found["airline"]["auc_baseline"])
    assert found["airline"]["auc_50_labels"] > 0.72
    assert found["office"]["auc_hijacked_no_labels"] > 0.90
    assert found["airline"]["ami_failure_type"] > 0.30 > found["airline"]["ami_task"]
