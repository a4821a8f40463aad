"""What a span costs: CPU by process while it is stored, by step of what Python does, and bytes on disk."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cramjam

from bench.ingest import measure
from bench.ingest.world import World
from bench.traces import requests
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.scanner import Scanner
from outerloop.ingest.settings import IngestSettings
from outerloop.store import spans
from outerloop.trace.span_evaluations import HINTS
from outerloop.trace.wire import check_traces, delimited

_TICK = os.sysconf("SC_CLK_TCK")
_MERGES = ("MergeMutate", "BgSchPool")  # threads of ClickHouse that work behind an insert
# Of these each call repeats nothing, so there is nothing that 4 % could be asked of.
_NO_HISTORY = ("sample_delta_history", "sample_per_turn")


def cpu(here: World, *names: str) -> dict[str, float]:
    """Seconds of CPU that these processes have taken, and of ClickHouse's those of its merges."""
    taken = {name: _seconds(Path(f"/proc/{here.stack.pid(name)}/stat")) for name in names}
    threads = Path(f"/proc/{here.stack.pid('clickhouse')}/task").iterdir()
    merging = [_seconds(t / "stat") for t in threads if (t / "comm").read_text().startswith(_MERGES)]
    return taken | {"of_it_merges": sum(merging)}


def per_span(before: dict[str, float], after: dict[str, float], held: int) -> dict[str, float]:
    """Microseconds a span between two looks; a process that was not there before had taken none."""
    return {name: round((then - before.get(name, 0)) / held * 1e6, 2) for name, then in after.items()}


def steps(load: measure.Load) -> dict[str, float]:
    """Microseconds of CPU a span of each step in Python; the least of three passes."""
    cleaner, hints = Cleaner(IngestSettings()), Scanner(HINTS)
    payloads = [payload for payload, _ in load]
    packed = [bytes(cramjam.zstd.compress(payload)) for payload in payloads]
    each: dict[str, Callable[[bytes], Any]] = {
        "redact": cleaner.traces,
        "look_for_evaluations": hints.marks,
        "check": check_traces,
    }
    passes: dict[str, Callable[[], Any]] = {"decompress": lambda: [*map(cramjam.zstd.decompress, packed)]}
    passes |= {name: partial(lambda step: [*map(step, payloads)], step) for name, step in each.items()}
    passes |= {"join": lambda: delimited(payloads)}
    held = sum(held for _, held in load)
    return {name: round(min(_took(work) for _ in range(3)) / held * 1e6, 3) for name, work in passes.items()}


async def on_disk(here: World, folder: Path) -> dict[str, float]:
    """File of recorded traces -> bytes on disk after merges, as a share of what came; and of `all`."""
    shares: dict[str, float] = {}
    came = stored = 0
    for name, runs in _histories(folder):
        async with measure.database(here, "bench_size") as db:
            await spans.store(db, delimited([check_traces(run).payload for run in runs]), name)
            await db.command("OPTIMIZE TABLE otel_traces FINAL")
            (row,) = await db.query(
                "SELECT sum(bytes_on_disk) AS n FROM system.parts"
                " WHERE active AND database = currentDatabase() AND table = 'otel_traces'"
            )
        size = sum(map(len, runs))
        shares[name] = round(row["n"] / size, 4)
        came, stored = came + size, stored + row["n"]
    return shares | {"all": round(stored / came, 4)}


def _histories(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    for file in sorted(folder.glob("*.otlp.pb.zst")):
        name = file.name.partition(".")[0]
        if name not in _NO_HISTORY:
            yield name, [request.SerializeToString() for request in requests(file.read_bytes())]


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _took(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
