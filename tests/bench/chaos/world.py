"""The processes, each behind a proxy of its own, and what is done to them."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from engines.kafka import ApacheKafka
from engines.proxy import Proxy, proxy
from engines.server import free_port
from outerloop.dev import clickhouse
from outerloop.dev.stack import Stack
from outerloop.dev.stack.probes import http_ok, json_line, port
from outerloop.dev.stack.process import Process
from outerloop.runtime.settings import Settings

VICTIMS = ("ingest", "kafka", "clickhouse", "connections")
_START_SECONDS = 180.0  # on a machine that is busy with other things too


@dataclass(frozen=True, slots=True)
class World:
    """All that runs. `crashes` are ends of a process that nobody here asked for."""

    stack: Stack
    settings: Settings
    receiver: str
    health: str
    proxies: dict[str, Proxy]
    crashes: list[str]


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Started, migrated, with its topics; all of it is stopped at the end of the block."""
    ports = {name: free_port() for name in ("kafka_proxy", "ch", "ch_proxy", "otlp", "http")}
    crashes: list[str] = []
    settings = Settings(
        kafka=f"127.0.0.1:{ports['kafka_proxy']}", clickhouse=f"http://127.0.0.1:{ports['ch_proxy']}"
    )
    env = {
        "OUTERLOOP_KAFKA": settings.kafka,
        "OUTERLOOP_CLICKHOUSE": settings.clickhouse,
        "OUTERLOOP_KAFKA_SESSION_TIMEOUT_MS": "6000",  # the least that Kafka allows
        "OUTERLOOP_OTLP_GRPC_PORT": str(ports["otlp"]),
        "OUTERLOOP_OTLP_HTTP_PORT": "0",
        "OUTERLOOP_HTTP_PORT": str(ports["http"]),
    }
    health = f"http://127.0.0.1:{ports['http']}"
    # Not in the stack's folder, which it empties.
    log = folder.with_name(f"{folder.name}-kafka")
    shutil.rmtree(log, ignore_errors=True)
    log.mkdir(parents=True)
    async with contextlib.AsyncExitStack() as block:
        advertised = f"advertised.listeners=PLAINTEXT://127.0.0.1:{ports['kafka_proxy']}"
        broker = ApacheKafka(log, more=[advertised])
        ports["kafka"] = int(broker.bootstrap.partition(":")[2])
        proxies = {
            "kafka": await block.enter_async_context(proxy(ports["kafka_proxy"], ports["kafka"])),
            "clickhouse": await block.enter_async_context(proxy(ports["ch_proxy"], ports["ch"])),
        }
        engine = clickhouse.command(folder / "data" / "clickhouse", ports["ch"])
        stages = _stages(broker.command, engine, ports, env, health)
        stack = await block.enter_async_context(Stack(folder, stages, report=crashes.append))
        await stack.start()
        yield World(stack, settings, f"127.0.0.1:{ports['otlp']}", health, proxies, crashes)


def _stages(
    broker: list[str], engine: list[str], ports: dict[str, int], env: dict[str, str], health: str
) -> list[list[Process]]:
    run = [sys.executable, "-m", "outerloop"]
    ready = http_ok(f"{health}/healthz")
    return [
        [
            Process("kafka", broker, ready=port(ports["kafka"]), ready_within=_START_SECONDS),
            Process("clickhouse", engine, ready=json_line("listening"), ready_within=_START_SECONDS),
        ],
        [
            Process("migrate", [*run, "migrate"], env=env, once=True, ready_within=_START_SECONDS),
            Process("topics", [*run, "topics", "--create"], env=env, once=True, ready_within=_START_SECONDS),
        ],
        [
            Process("ingest", [*run, "run", "ingest"], env=env, ready=ready, ready_within=_START_SECONDS),
            Process("triage", [*run, "run", "triage"], env=env | {"OUTERLOOP_HTTP_PORT": "0"}),
        ],
    ]


class Chaos:
    """Strikes at random: kill -9 of a process, which is started again at once, or all connections cut."""

    def __init__(self, here: World, random: Random, say: Callable[[str], None]) -> None:
        self.kills = dict.fromkeys(VICTIMS, 0)
        self._here = here
        self._random = random
        self._say = say

    async def strike(self, times: int, struck: Callable[[int], None]) -> None:
        """Strike so often, each victim once at least if that is often enough; `struck` is told of each."""
        victims = [*VICTIMS, *self._random.choices(VICTIMS, k=max(0, times - len(VICTIMS)))][:times]
        self._random.shuffle(victims)
        for number, victim in enumerate(victims, 1):
            await asyncio.sleep(self._random.uniform(0.1, 2.5))
            await self._hit(victim)
            self.kills[victim] += 1
            self._say(f"{number:3} of {times}: {victim}")
            struck(number)

    async def _hit(self, victim: str) -> None:
        if victim == "connections":
            for each in self._here.proxies.values():
                each.cut()
            return
        await self._here.stack.kill(victim)
        await self._here.stack.start(victim)
