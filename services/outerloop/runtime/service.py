"""How a service runs: logging, Kafka, ClickHouse, health endpoints, and a clean end on SIGTERM."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.logs import log_to_stderr
from outerloop.runtime.settings import Settings

log = logging.getLogger(__name__)

Background = Callable[[], Coroutine[Any, Any, None]]
# Subscribes the service's handlers and returns what runs beside them until the end.
Wire = Callable[[Bus, ClickHouse], Sequence[Background]]
HEARTBEAT_SECONDS = 1.0
STUCK_AFTER_SECONDS = 15.0
_START_AGAIN_SECONDS = 2.0


async def run(settings: Settings, name: str, wire: Wire) -> None:
    """Run one service until SIGTERM or SIGINT.

    Raises:
        OuterloopError: when it cannot go on, for example in a flood of dead letters.
    """
    log_to_stderr(name, settings.log_level, settings.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    db = ClickHouse(settings)
    bus = Bus(settings, name)
    background = wire(bus, db)
    async with _health(settings, bus) as health, contextlib.aclosing(_Closing(db)):
        if not await _connected(bus, db, stop, health):
            return
        try:
            health.ready = True
            log.info("%s is ready", name)
            await _until_stopped(bus, (*background, bus.watch_lag), stop)
        finally:
            health.ready = False
            await bus.__aexit__(None, None, None)
            log.info("%s has stopped", name)


async def _connected(bus: Bus, db: ClickHouse, stop: asyncio.Event, health: "_Health") -> bool:
    """Wait for the schema, Kafka and our topics; nothing is taken from Kafka before all are there."""
    while not stop.is_set():
        try:
            await db.query("SELECT 1 FROM migrations LIMIT 1")
            await bus.__aenter__()
        except OutageError as outage:
            log.warning("%s; trying again", outage)
            health.starting = str(outage)
            metrics.WAITING.labels(bus.group).set(1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _START_AGAIN_SECONDS)
        else:
            metrics.WAITING.labels(bus.group).set(0)
            return True
    return False


async def _until_stopped(bus: Bus, background: Sequence[Background], stop: asyncio.Event) -> None:
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(start()) for start in background]
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({stopping, bus.failed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for ended in done - {stopping}:
            ended.result()  # raises what stopped it; a background task has no other reason to end
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)


class _Closing:
    """Gives ClickHouse the `aclose` that contextlib asks for."""

    def __init__(self, db: ClickHouse) -> None:
        self.aclose = db.close


class _Health:
    """What the endpoints tell: alive while the event loop turns, ready while nothing is waited for."""

    def __init__(self, bus: Bus) -> None:
        self.ready = False
        self.starting = "starting"
        self.beat = time.monotonic()
        self._bus = bus

    async def heartbeat(self) -> None:
        while True:
            self.beat = time.monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def healthz(self, _: web.Request) -> web.Response:
        stuck = time.monotonic() - self.beat > STUCK_AFTER_SECONDS
        return web.Response(text="stuck" if stuck else "ok", status=503 if stuck else 200)

    async def readyz(self, _: web.Request) -> web.Response:
        waiting = self._bus.waiting_for
        ready = self.ready and not waiting
        return web.Response(text="ok" if ready else waiting or self.starting, status=200 if ready else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@contextlib.asynccontextmanager
async def _health(settings: Settings, bus: Bus) -> AsyncIterator[_Health]:
    health = _Health(bus)
    beating = asyncio.ensure_future(health.heartbeat())
    app = web.Application()
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", health.metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    if settings.http_port:
        await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    try:
        yield health
    finally:
        beating.cancel()
        await runner.cleanup()
