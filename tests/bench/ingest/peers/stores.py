"""Phoenix, MLflow and our own receiver, each as a store that takes OTLP over HTTP."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import quote

from bench.ingest.world import World
from bench.installed import environment
from engines.server import free_port
from outerloop.dev.stack import Stack
from outerloop.dev.stack.probes import http_ok
from outerloop.dev.stack.process import Process
from outerloop.runtime.clickhouse import ClickHouse

_START_SECONDS = 240.0  # the first time, either one makes its tables, one migration after another
PHOENIX, MLFLOW = "arize-phoenix==20.26.1", "mlflow==3.17.2"


class Sqlite:
    """A server in an environment of its own, which keeps spans in an SQLite file of its own."""

    def __init__(self, stack: Stack, name: str, url: str, headers: Mapping[str, str], file: Path) -> None:
        self.url, self.headers = url, headers
        self._stack, self._name, self._file = stack, name, file

    async def rows(self) -> int:
        """See Store."""
        return await asyncio.to_thread(self._count)

    async def unique(self) -> int:
        """See Store: neither of them has a span twice."""
        return await self.rows()

    async def kill(self) -> None:
        """See Store."""
        await self._stack.kill(self._name)

    async def start(self) -> None:
        """See Store."""
        await self._stack.start(self._name)

    def _count(self) -> int:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(self._file))}?mode=ro", uri=True)) as file:
            return int(file.execute("SELECT count(*) FROM spans").fetchone()[0])


@contextlib.asynccontextmanager
async def phoenix(folder: Path) -> AsyncIterator[Sqlite]:
    """Phoenix as `phoenix serve` runs it, on SQLite."""
    home, port = environment("phoenix", PHOENIX), free_port()
    env = {
        "PHOENIX_WORKING_DIR": str(folder / "data"),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    base = f"http://127.0.0.1:{port}"
    argv = [f"{home}/bin/phoenix", "serve"]
    process = Process("phoenix", argv, env, http_ok(f"{base}/healthz"), _START_SECONDS)
    async with Stack(folder, [[process]]) as stack:
        await stack.start()
        yield Sqlite(stack, "phoenix", f"{base}/v1/traces", {}, folder / "data" / "phoenix.db")


@contextlib.asynccontextmanager
async def mlflow(folder: Path) -> AsyncIterator[Sqlite]:
    """MLflow's server as `mlflow server` runs it, on SQLite, with one worker and no jobs."""
    home, port = environment("mlflow", MLFLOW), free_port()
    env = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    base, file = f"http://127.0.0.1:{port}", folder / "data" / "mlflow.db"
    argv = [f"{home}/bin/mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{file}"]
    argv += ["--default-artifact-root", str(folder / "data" / "artifacts")]
    process = Process("mlflow", argv, env, http_ok(f"{base}/health"), _START_SECONDS)
    async with Stack(folder, [[process]]) as stack:
        file.parent.mkdir(parents=True, exist_ok=True)
        await stack.start()
        yield Sqlite(stack, "mlflow", f"{base}/v1/traces", {"x-mlflow-experiment-id": "0"}, file)


class Ours:
    """Ingest's receiver, behind which are Kafka and ClickHouse."""

    headers: Mapping[str, str] = {}

    def __init__(self, here: World, db: ClickHouse) -> None:
        self.url = f"{here.receiver}/v1/traces"
        self._stack, self._db = here.stack, db
        self._rows = self._unique = 0

    async def rows(self) -> int:
        """See Store; what came twice and is not merged yet counts twice."""
        return await rows(self._db) - self._rows

    async def unique(self) -> int:
        """See Store."""
        return await unique(self._db) - self._unique

    async def begin(self) -> None:
        """What is there now does not count."""
        self._rows, self._unique = await rows(self._db), await unique(self._db)

    async def kill(self) -> None:
        """See Store."""
        await self._stack.kill("ingest")

    async def start(self) -> None:
        """See Store."""
        await self._stack.start("ingest")


@contextlib.asynccontextmanager
async def ours(here: World) -> AsyncIterator[Ours]:
    """Ingest as it runs; what it has stored before does not count."""
    db = ClickHouse(here.settings)
    try:
        own = Ours(here, db)
        await own.begin()
        yield own
    finally:
        await db.close()


async def rows(db: ClickHouse, table: str = "otel_traces") -> int:
    """Rows of a table, as they lie there."""
    return int((await db.query(f"SELECT count() AS n FROM {table}"))[0]["n"])  # noqa: S608 - our own names


async def unique(db: ClickHouse, table: str = "otel_traces") -> int:
    """Different spans in a table."""
    return int((await db.query(f"SELECT uniqExact(TraceId, SpanId) AS n FROM {table}"))[0]["n"])  # noqa: S608 - our own names
