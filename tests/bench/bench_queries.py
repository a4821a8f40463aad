"""How long analysts' questions take: each view's query at two sizes, and how it grows from one to the other.

    python -m bench.bench_queries [--spans 1000000 10000000] [--runs 7]

`ms` is the median from the question to its last row, over HTTP; `cpu_ms` what the engine computed for it,
which says the same when the machine has other things to do; growth is that of `cpu_ms`. Spans are made in
the engine, and verdicts of them in the order in which they would come (queries.sql). The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engines.embedded import Chdb
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store.migrate import migrate

LIMIT_MS = 200
SPANS_A_TRACE = 10
_INSERTS = 20
_DAYS = 60
_BEGAN = datetime(2026, 10, 1)  # noqa: DTZ001 - queries.sql adds the zone


def statements() -> dict[str, str]:
    """The statements that fill the tables, by name."""
    text = (Path(__file__).parent / "queries.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name: sql.strip().removesuffix(";") for name, _, sql in parts}


_PARAMETERS = {"agent": "agent-0", "at": "2026-11-01 12:00:00"}
QUERIES = {
    "trends by mode": "SELECT day, title, failures, share FROM mode_trends WHERE agent = {agent:String}"
    " ORDER BY day, share DESC",
    "trends by mode, all agents": "SELECT day, agent, title, failures, share FROM mode_trends ORDER BY day",
    "trends by agent": "SELECT day, agent, sum(failures) / sum(traces) FROM agent_trends GROUP BY ALL",
    "trends by version and model": "SELECT agent_version, model, sum(traces), sum(failures) / sum(traces)"
    " FROM agent_trends WHERE agent = {agent:String} GROUP BY ALL",
    "trends by tool": "SELECT day, called, traces, failures, failed_there FROM tool_trends"
    " WHERE agent = {agent:String}",
    "trends by tool, all agents": "SELECT called, sum(traces), sum(failures), sum(failed_there)"
    " FROM tool_trends GROUP BY called",
    "before and after a release": "SELECT title, rate_before, rate_after"
    " FROM before_after(agent = {agent:String}, at = {at:String}, days = 7)",
    "precision of detectors": "SELECT * FROM detector_precision",
    "agreement with people": "SELECT * FROM agreement",
    "cost of failures": "SELECT title, sum(traces), sum(usd), sum(input_tokens + output_tokens)"
    " FROM failure_costs WHERE agent = {agent:String} GROUP BY title",
    "cost of failures, all agents": "SELECT agent, title, sum(usd) FROM failure_costs GROUP BY ALL",
    "modes": "SELECT * FROM failure_modes",
    "outliers": "SELECT day, kind, subject, count() FROM trace_outliers FINAL"
    " WHERE agent = {agent:String} GROUP BY ALL",
}


async def measure(spans: Sequence[int], runs: int, folder: Path) -> dict[str, Any]:
    """The figures: for each query its median milliseconds at each size, and their growth."""
    server = Chdb(folder)
    server.start()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in QUERIES}
    try:
        for size in spans:
            settings = Settings(clickhouse=server.url, clickhouse_database=f"bench_{size}")
            await migrate(settings)
            db = ClickHouse(settings)
            began = time.monotonic()
            await _fill(db, size)
            _say(f"{size} spans, made in {time.monotonic() - began:.0f} s")
            for name, query in QUERIES.items():
                ms, cpu_ms = await _ask(db, server, query, runs)
                found[name].append((ms, cpu_ms))
                _say(f"{name}: {ms} ms, {cpu_ms} ms of computing")
            await db.close()
    finally:
        server.stop()
    return _report(spans, found)


async def _fill(db: ClickHouse, size: int) -> None:
    made = statements()
    traces = size // SPANS_A_TRACE
    step = traces // _INSERTS * SPANS_A_TRACE
    for first in range(0, size, step):
        await db.command(made["spans"], first=first, count=min(step, size - first), traces=traces)
    # In order of time, as triage comes to judge them: most of a day's verdicts are in few parts.
    for day in range(0, _DAYS, _DAYS // _INSERTS):
        start = (_BEGAN + timedelta(days=day)).isoformat(sep=" ")
        await db.command(made["verdicts"], start=start, days=_DAYS // _INSERTS)
    for name in ("again", "modes", "outliers", "states", "labels", "evaluations"):
        await db.command(made[name])


async def _ask(db: ClickHouse, server: Chdb, query: str, runs: int) -> tuple[float, float]:
    """Median milliseconds of a query, and the engine's milliseconds of computing for one."""
    used = {name: value for name, value in _PARAMETERS.items() if f"{{{name}:" in query}
    if not await db.query(query, **used):  # which also warms the caches up
        raise AssertionError(f"no rows: {query}")
    took, computed = [], server.cpu_seconds()
    for _ in range(runs):
        began = time.perf_counter()
        await db.query(query, **used)
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 1), round((server.cpu_seconds() - computed) * 1000 / runs, 1)


def _report(spans: Sequence[int], found: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    queries = {
        name: {
            "ms": [ms for ms, _ in each],
            "cpu_ms": [cpu for _, cpu in each],
            "growth": round(each[-1][1] / max(each[0][1], 0.1), 1),
            "holds": each[-1][0] < LIMIT_MS,
        }
        for name, each in found.items()
    }
    return {
        "spans": list(spans),
        "limit_ms": LIMIT_MS,
        "slowest_ms": max(each[-1][0] for each in found.values()),
        "hold": all(query["holds"] for query in queries.values()),
        "load": os.getloadavg()[0],
        "queries": queries,
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a query is slower than the limit at the largest size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spans", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(measure(given.spans, given.runs, Path(folder)))
    sys.stdout.write(json.dumps(report) + "\n")
    return 0 if report["hold"] else 1


if __name__ == "__main__":
    sys.exit(main())
