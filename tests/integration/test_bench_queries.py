"""The bench of analysts' queries, in its short form: every query is answered and timed."""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_the_short_form_times_every_query_at_both_sizes() -> None:
    command = [sys.executable, "-m", "bench.bench_queries", "--spans", "20000", "60000", "--runs", "1"]
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    # 1: a query took longer than its limit, which on a machine that does other things says nothing.
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["spans"], result["limit_ms"]) == ([20000, 60000], 200)
    assert {"trends by mode", "trends by tool", "before and after a release"} <= set(result["queries"])
    for query in result["queries"].values():
        assert len(query["ms"]) == len(query["cpu_ms"]) == 2
        assert min(query["ms"]) > 0
        assert query["holds"] is (query["ms"][-1] < 200)
    assert result["hold"] is all(query["holds"] for query in result["queries"].values())
