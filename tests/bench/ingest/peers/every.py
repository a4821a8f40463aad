"""One after the other, as there are two cores; one that cannot be run here is left out, with its reason."""

import argparse
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench.ingest import load
from bench.ingest.measure import Load
from bench.ingest.peers import stores
from bench.ingest.peers.collector import collector
from bench.ingest.peers.durability import Store, durability
from bench.ingest.world import World
from bench.installed import Unavailable
from outerloop.dev.stack import StackError
from outerloop.runtime.errors import OuterloopError

Figures = dict[str, float]
Opened = Callable[[Path], AbstractAsyncContextManager[Store]]
_MOST, _MOST_FOR_COLLECTOR = 200_000, 400_000  # spans; so many last their time on two cores
_AFTER = 100_000_000  # spans that no other measurement has sent


async def measured(
    here: World, made: Load, options: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    """`over_otlp`: our receiver; `peers`: name -> figures, or why there are none."""
    seconds = options.peer_seconds
    async with stores.ours(here) as own:
        fresh = list(load.small(min(_MOST, options.spans), after=_AFTER))
        result = (await durability(own, fresh, seconds)).figures()
    say(f"outerloop over OTLP: {_words(result)}")
    if options.no_peers:
        say("peers are left out (--no-peers)")
        return {"over_otlp": result, "peers": {}}
    await here.stack.kill("ingest")
    otlp = made[: _MOST // load.SPANS_A_RECORD]
    runs: dict[str, Callable[[Path], Awaitable[Figures]]] = {
        "phoenix": partial(_over_otlp, stores.phoenix, otlp, seconds),
        "mlflow": partial(_over_otlp, stores.mlflow, otlp, seconds),
        "collector": partial(_collector, here, made[: _MOST_FOR_COLLECTOR // load.SPANS_A_RECORD]),
    }
    peers: dict[str, Figures | dict[str, str]] = {}
    for name, run in runs.items():
        say(f"{name}: is installed, where it is not yet, and started …")
        folder = options.dir.resolve()
        try:
            peers[name] = found = await run(folder.with_name(f"{folder.name}-{name}"))
            say(f"{name}: {_words(found)}")
        except (Unavailable, StackError, TimeoutError, aiohttp.ClientError, OuterloopError) as error:
            peers[name] = {"left_out": " ".join(str(error).split())[:400] or type(error).__name__}
            say(f"{name}: left out: {peers[name]['left_out']}")
    return {"over_otlp": result, "peers": peers}


async def _over_otlp(opened: Opened, part: Load, seconds: float, folder: Path) -> Figures:
    async with opened(folder) as store:
        return (await durability(store, part, seconds)).figures()


async def _collector(here: World, part: Load, folder: Path) -> Figures:
    return (await collector(here, folder, part)).figures()


def _words(figures: Figures) -> str:
    rate = f"{figures['accepted_per_s']:,} spans/s accepted, " if "accepted_per_s" in figures else ""
    twice = f", {figures['duplicated_share']:.1%} twice" if figures.get("duplicated_share") else ""
    return (
        f"{rate}{figures['persisted_per_s']:,} stored,"
        f" {figures['lost_share_after_kill']:.1%} lost to a kill -9{twice}"
    )
