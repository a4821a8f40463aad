"""The short form of `make bench-ingest`: every figure is there, and every span."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.kafka import missing

TESTS = Path(__file__).parents[1]


@pytest.mark.skipif(bool(missing()), reason=f"Apache Kafka cannot run here: {missing()}")
def test_the_short_form_measures_all_and_stores_all(tmp_path: Path) -> None:
    size = ["--spans", "20000", "--seconds", "2", "--no-peers", "--peer-seconds", "2"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.ingest",
            *size,
            "--dir",
            str(tmp_path / "b"),
            "--traces",
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["stored_fraction"] == 1
    assert result["ratio"] > 0
    assert min(result[f"{each}spans_per_s"] for each in ("", "limit_", "python_way_")) > 0
    assert 0 < result["visible_p50_ms"] <= result["visible_p99_ms"]
    assert result["rss_mb"] > 50
    costs = result["redaction"]
    assert min(costs["credentials_us_per_span"], costs["all_us_per_span"]) > 0
    assert "is left out" in done.stdout
    own = result["over_otlp"]
    assert own["accepted_per_s"] > 0
    assert own["lost_share_after_kill"] == 0
    assert result["peers"] == {}
