"""`make bench-ingest`: arguments, the runs, a table, and one JSON line."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.ingest import cost, load, measure, peers, table
from bench.ingest.world import World, world
from engines.kafka import missing
from outerloop.dev.stack import StackError
from outerloop.runtime.errors import OuterloopError

_EVERYTHING = "credentials,cards,emails,phones"
_TARGETS = {"ratio": 0.6, "spans_per_s": 150_000, "visible_p99_ms": 2000, "on_disk": 0.04}


def main() -> int:
    """Measure and print."""
    options = _options()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {text}\n")
        sys.stdout.flush()

    if reason := missing():
        sys.stderr.write(f"bench-ingest needs Apache Kafka, which cannot run here: {reason}\n")
        return 2
    try:
        result = asyncio.run(_run(options, say))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("\nstopped; nothing is left running\n")
        return 130
    except (OuterloopError, StackError, TimeoutError) as error:
        sys.stdout.write(json.dumps({"bench": "ingest", "error": str(error)}) + "\n")
        return 1
    sys.stdout.write(table.of(result) + "\n")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["stored_fraction"] == 1 else 1


async def _run(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    say("starting Apache Kafka and ClickHouse (chDB) …")
    async with world(options.dir.resolve()) as here:
        made = list(load.small(options.spans))
        bytes_each = sum(len(payload) for payload, _ in made) // sum(held for _, held in made)
        say(f"small spans of {bytes_each} bytes")
        result = await _small(here, made, options, say)
        result |= {"bytes_per_span": bytes_each} | await _mix(here, options, say)
        return result | await peers.measured(here, made, options, say)


async def _small(
    here: World, made: measure.Load, options: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    before = cost.cpu(here, "clickhouse")
    most = await measure.limit(here, made)
    alone = cost.per_span(before, cost.cpu(here, "clickhouse"), options.spans)
    say(f"limit: {most:,.0f} spans/s by ClickHouse alone")
    in_python = await measure.plain(here, made[: max(1, len(made) // 10)])
    say(f"plain: {in_python:,.0f} spans/s parsed and built in Python")
    await measure.produce(here, made)
    before = cost.cpu(here, "clickhouse", "kafka")
    drained = await measure.drain(here, made, say)
    ours = cost.per_span(before, cost.cpu(here, "clickhouse", "kafka", "ingest"), options.spans)
    cpu = {"limit": alone, "ours": ours, "steps_of_ingest": cost.steps(made[: max(1, len(made) // 10)])}
    say(f"CPU, µs a span: {json.dumps(cpu)}")
    costs = _redaction(made[: max(1, len(made) // 10)], say)
    rate, half = drained.spans_per_s, drained.spans_per_s / 2
    say(f"ours:  {rate:,.0f} spans/s from Kafka to rows, {rate / most:.2f} of the limit")
    more = list(load.small(max(load.SPANS_A_RECORD, int(half * options.seconds)), after=options.spans))
    took = await measure.visible(here, more, half)
    p50, p99 = (round(1000 * took[int(share * (len(took) - 1))]) for share in (0.5, 0.99))
    say(f"visible after {p50} ms (median), {p99} ms (p99), at {half:,.0f} spans/s")
    return {
        "spans_per_s": round(rate),
        "limit_spans_per_s": round(most),
        "ratio": round(rate / most, 3),
        "python_way_spans_per_s": round(in_python),
        "redaction": costs | {"share_of_a_core": round(rate * costs["credentials_us_per_span"] / 1e6, 3)},
        "visible_p50_ms": p50,
        "visible_p99_ms": p99,
        "cpu_us_per_span": cpu,
        "stored_fraction": drained.stored / drained.sent,
        "rss_mb": round(here.peak_mb("ingest")),
        "targets": _TARGETS,
    }


def _redaction(made: measure.Load, say: Callable[[str], None]) -> dict[str, float]:
    """What redaction costs, by default (credentials) and with all that there is."""
    default, every = (measure.redaction(made, kinds) for kinds in ("credentials", _EVERYTHING))
    say(f"redaction: {default:.2f} µs of CPU a span for credentials, {every:.2f} µs with personal data")
    return {"credentials_us_per_span": round(default, 3), "all_us_per_span": round(every, 3)}


async def _mix(here: World, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    if not any(options.traces.glob("*.otlp.pb.zst")):
        say(f"no recorded traces in {options.traces} (--traces): that load is left out")
        return {}
    shares = await cost.on_disk(here, options.traces)
    say("on disk, of what came: " + ", ".join(f"{name} {share:.2%}" for name, share in shares.items()))
    made = list(load.recorded(options.traces, options.spans // 20))
    size, held = sum(len(payload) for payload, _ in made), sum(held for _, held in made)
    most = await measure.limit(here, made)
    await here.stack.kill("ingest")
    await measure.produce(here, made)
    rate = (await measure.drain(here, made, say)).spans_per_s
    say(f"recorded runs, {size // held:,} bytes a span: {rate:,.0f} spans/s, {rate / most:.2f} of the limit")
    return {
        "on_disk": shares,
        "mix": {
            "spans_per_s": round(rate),
            "limit_spans_per_s": round(most),
            "bytes_per_span": size // held,
            "redaction": _redaction(made, say),
        },
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-ingest", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".outerloop/bench-ingest"), help="data and logs")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load while visibility is measured")
    parser.add_argument("--traces", type=Path, default=Path("../shared/traces"), help="recorded runs")
    parser.add_argument("--no-peers", action="store_true", help="leave out what would have to be installed")
    parser.add_argument("--peer-seconds", type=float, default=20.0, help="of load for each that takes OTLP")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
