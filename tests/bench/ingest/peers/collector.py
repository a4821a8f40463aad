"""The OpenTelemetry Collector, from the same Kafka into the same ClickHouse, and killed on its way."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from bench.ingest.measure import Load, produce
from bench.ingest.peers.stores import rows, unique
from bench.ingest.world import World
from bench.installed import made
from outerloop.cli import kafka
from outerloop.dev.stack import Stack, StackError
from outerloop.dev.stack.output import Output
from outerloop.dev.stack.process import Process
from outerloop.runtime.clickhouse import ClickHouse

BINARY = ".cache/tools/otelcol"
_TOPIC, _PARTITIONS, _DATABASE = "bench_collector", 4, "bench_collector"
_TABLE = f"{_DATABASE}.otel_traces"
_LOOK_SECONDS, _STILL_SECONDS, _LONGEST_SECONDS = 0.1, 20.0, 90.0


@dataclass(frozen=True, slots=True)
class Drained:
    """A backlog of `sent` spans: its rate until it was killed half way, and what was there in the end."""

    sent: int
    per_s: float
    rows: int
    unique: int

    def figures(self) -> dict[str, float]:
        """Kafka has accepted all of it; what is lost was read, its offset committed, and never stored."""
        return {
            "persisted_per_s": round(self.per_s),
            "lost_share_after_kill": round(1 - self.unique / self.sent, 4),
            "duplicated_share": round((self.rows - self.unique) / self.sent, 4),
        }


async def collector(here: World, folder: Path, load: Load) -> Drained:
    """The measurement.

    Raises:
        Unavailable: it cannot be built.
        StackError: it does not start, or stores nothing.
    """
    binary = await asyncio.to_thread(made, BINARY)
    env = {
        "KAFKA": here.settings.kafka,
        "CLICKHOUSE": here.settings.clickhouse,
        "TOPIC": _TOPIC,
        "DATABASE": _DATABASE,
    }
    argv = [str(binary), f"--config={Path(__file__).with_suffix('.yaml')}"]
    await kafka.create_topics(here.settings, {_TOPIC: _PARTITIONS}, 1)
    await produce(here, load, _TOPIC)
    db = ClickHouse(here.settings)
    try:
        async with Stack(folder, [[Process("collector", argv, env, _ready)]]) as stack:
            await stack.start()
            return await _killed_half_way(db, stack, sum(held for _, held in load))
    finally:
        await db.command(f"DROP DATABASE IF EXISTS {_DATABASE}")
        await db.close()


async def _ready(output: Output) -> bool:
    return "Everything is ready" in output.text()


async def _killed_half_way(db: ClickHouse, stack: Stack, sent: int) -> Drained:
    began = time.monotonic()
    first, at_first, stored, now = began, 0, 0, began
    while stored < sent // 2:
        await asyncio.sleep(_LOOK_SECONDS)
        stored, now = await rows(db, _TABLE), time.monotonic()
        if stored and not at_first:
            first, at_first = now, stored
        if now - began > _LONGEST_SECONDS:
            raise StackError(f"it has stored {stored} of {sent} spans in {_LONGEST_SECONDS:.0f} s")
    if stored == at_first:  # too few for a rate of their own: with the time that joining the group takes
        first, at_first = began, 0
    await stack.kill("collector")
    await stack.start("collector")
    found, moved = 0, time.monotonic()
    while found < sent and time.monotonic() - moved < _STILL_SECONDS:
        await asyncio.sleep(1)
        if (different := await unique(db, _TABLE)) > found:
            found, moved = different, time.monotonic()
    return Drained(sent, (stored - at_first) / (now - first), await rows(db, _TABLE), found)
