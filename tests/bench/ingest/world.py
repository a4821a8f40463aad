"""The processes: Apache Kafka with its log on disk, the ClickHouse engine, ingest."""

import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from engines.kafka import ApacheKafka
from engines.server import free_port
from outerloop.dev import clickhouse
from outerloop.dev.stack import Stack
from outerloop.dev.stack.probes import http_ok, json_line, port
from outerloop.dev.stack.process import Process
from outerloop.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class World:
    """All but ingest runs; `start("ingest")` is the measurement's to say. `receiver`: its OTLP over HTTP."""

    stack: Stack
    settings: Settings
    receiver: str

    def peak_mb(self, name: str) -> float:
        """The most memory that a process has held."""
        status = Path(f"/proc/{self.stack.pid(name)}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Started, migrated, with its topics; stopped and its data gone at the end of the block."""
    log = folder.with_name(f"{folder.name}-kafka")
    shutil.rmtree(log, ignore_errors=True)
    log.mkdir(parents=True)
    ports = {name: free_port() for name in ("clickhouse", "http", "otlp")}
    broker = ApacheKafka(log)
    settings = Settings(kafka=broker.bootstrap, clickhouse=f"http://127.0.0.1:{ports['clickhouse']}")
    env = {
        "OUTERLOOP_KAFKA": settings.kafka,
        "OUTERLOOP_CLICKHOUSE": settings.clickhouse,
        "OUTERLOOP_OTLP_GRPC_PORT": "0",
        "OUTERLOOP_OTLP_HTTP_PORT": str(ports["otlp"]),
        "OUTERLOOP_HTTP_PORT": str(ports["http"]),
    }
    run = [sys.executable, "-m", "outerloop"]
    engine = clickhouse.command(folder / "data" / "clickhouse", ports["clickhouse"])
    ready = http_ok(f"http://127.0.0.1:{ports['http']}/healthz")
    stages = [
        [
            Process("kafka", broker.command, ready=port(int(broker.bootstrap.partition(":")[2]))),
            Process("clickhouse", engine, ready=json_line("listening"), ready_within=120),
        ],
        [
            Process("migrate", [*run, "migrate"], env=env, once=True, ready_within=120),
            Process("topics", [*run, "topics", "--create"], env=env, once=True, ready_within=120),
        ],
        [Process("ingest", [*run, "run", "ingest"], env=env, ready=ready, ready_within=120)],
    ]
    async with Stack(folder, stages, report=lambda _: None) as stack:
        await stack.start("kafka", "clickhouse")
        await stack.start("migrate", "topics")
        yield World(stack, settings, f"http://127.0.0.1:{ports['otlp']}")
    shutil.rmtree(log, ignore_errors=True)
