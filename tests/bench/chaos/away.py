"""ClickHouse away for a while: ingest waits, says so, keeps its memory, and catches up."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from bench.chaos.world import World

_LOOK_SECONDS = 0.5
_WAITING = re.compile(r'^outerloop_waiting\{group="ingest"\} (\S+)$', re.MULTILINE)


async def away(here: World, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill ClickHouse, look at ingest for so long, start it again; what ingest said and held meanwhile."""
    say(f"ClickHouse is away for {seconds:g} s")
    held = _memory_mb(here)
    await here.stack.kill("clickhouse")
    began = time.monotonic()
    looks: list[tuple[bool, bool, float]] = []
    async with aiohttp.ClientSession() as http:
        while time.monotonic() - began < seconds:
            await asyncio.sleep(_LOOK_SECONDS)
            looks.append((*await _says(http, here.health), _memory_mb(here)))
        await here.stack.start("clickhouse")
        back = time.monotonic()
        while (await _says(http, here.health))[0]:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(_LOOK_SECONDS)
    return {
        "seconds": seconds,
        "ready_says": sum(said for said, _, _ in looks) / len(looks),
        "metric_says": sum(counted for _, counted, _ in looks) / len(looks),
        "rss_mb_before": round(held),
        "rss_mb_most": round(max(memory for _, _, memory in looks)),
        "waited_on_seconds": round(time.monotonic() - back, 1),
    }


async def _says(http: aiohttp.ClientSession, health: str) -> tuple[bool, bool]:
    """Whether /readyz names ClickHouse, and whether the metric says that ingest waits."""
    async with http.get(f"{health}/readyz") as answer:
        ready = answer.status == 503 and "ClickHouse" in await answer.text()
    async with http.get(f"{health}/metrics") as answer:
        found = _WAITING.search(await answer.text())
    return ready, bool(found and float(found[1]))


def _memory_mb(here: World) -> float:
    status = Path(f"/proc/{here.stack.pid('ingest')}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
