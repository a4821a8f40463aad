"""The embedded engines as test servers, by the same command lines that the local stack uses."""

from pathlib import Path

from engines.server import Server, accepts, free_port
from outerloop.dev import broker, clickhouse


class Tansu(Server):
    """A broker that remembers nothing over a restart; `bootstrap` is its address."""

    def __init__(self, path: Path) -> None:
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        super().__init__(broker.command(port), path / "tansu.log", lambda: accepts(port))


class Chdb(Server):
    """ClickHouse's HTTP interface over chDB with its data in `path`; `url` is its address."""

    def __init__(self, path: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        argv = clickhouse.command(path / "data", port)
        super().__init__(argv, path / "chdb.log", lambda: accepts(port))
