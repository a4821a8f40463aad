"""Official images, where a Docker engine answers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.community.clickhouse import ClickHouseContainer
from testcontainers.community.kafka import KafkaContainer

_HTTP_PORT = 8123


def missing() -> str | None:
    """Why there are no containers; None if there are."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    if subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=20).returncode != 0:
        return "no Docker engine answers"
    return None


@contextmanager
def kafka() -> Iterator[str]:
    """The bootstrap address of a broker that lives for the block."""
    container = KafkaContainer().with_kraft().with_env("KAFKA_LOG_CLEANER_BACKOFF_MS", "200")
    with container.with_env("KAFKA_MESSAGE_MAX_BYTES", "16000000"):
        yield container.get_bootstrap_server()


@contextmanager
def clickhouse() -> Iterator[str]:
    """The URL, with user and password, of a server that lives for the block."""
    with ClickHouseContainer(port=_HTTP_PORT) as server:
        address = f"{server.get_container_host_ip()}:{server.get_exposed_port(_HTTP_PORT)}"
        yield f"http://{server.username}:{server.password}@{address}"
