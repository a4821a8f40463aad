"""Engines that many tests share: started on first use, stopped at the end of the session.

A shared engine keeps what earlier tests left in it, so each test makes topics and databases of its own. The
services' topics and groups have fixed names, so Tansu, which starts at once, is each module's own.
"""

import os
from collections.abc import Iterator

import pytest

from engines import docker
from engines.embedded import Chdb, Tansu
from engines.kafka import ApacheKafka, missing


@pytest.fixture(scope="module")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of Tansu."""
    server = Tansu(tmp_path_factory.mktemp("tansu"))
    server.start()
    yield server.bootstrap
    server.kill()  # it keeps nothing that a clean end could save


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of Apache Kafka."""
    if reason := missing():
        pytest.skip(f"Apache Kafka cannot run here: {reason}")
    server = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server.bootstrap
    server.stop()


@pytest.fixture(scope="session")
def docker_kafka() -> Iterator[str]:
    """The bootstrap address of Kafka in a container."""
    if reason := docker.missing():
        pytest.skip(reason)
    with docker.kafka() as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def chdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of chDB behind ClickHouse's HTTP interface."""
    server = Chdb(tmp_path_factory.mktemp("chdb"))
    server.start()
    yield server.url
    assert server.stop() == 0


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[str]:
    """The URL of a ClickHouse server: the one named in the environment, or a container."""
    if url := os.environ.get("OUTERLOOP_TEST_CLICKHOUSE"):
        yield url
        return
    if reason := docker.missing():
        pytest.skip(f"OUTERLOOP_TEST_CLICKHOUSE names no server, and {reason}")
    with docker.clickhouse() as url:
        yield url
