"""The short form of `make chaos-ingest`: each victim is hit, ClickHouse away; nothing is lost or twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.kafka import missing

TESTS = Path(__file__).parents[1]


@pytest.mark.skipif(bool(missing()), reason=f"Apache Kafka cannot run here: {missing()}")
@pytest.mark.timeout(600)
def test_every_span_is_there_once_whatever_is_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.chaos",
            "--spans",
            "10000",
            "--kills",
            "4",
            "--away",
            "20",
            "--dir",
            str(tmp_path / "c"),
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["sent"] == result["stored"] == 10_000
    assert (result["lost"], result["duplicated"], result["rollup_error"]) == (0, 0, 0)
    away = result["away"]
    # Until the first insert fails it has nothing to wait for, and on a busy machine that takes its time.
    assert min(away["ready_says"], away["metric_says"]) > 0.3
    assert away["rss_mb_most"] < away["rss_mb_before"] + 200
    assert result["by_victim"] == dict.fromkeys(("ingest", "kafka", "clickhouse", "connections"), 1)
