"""The standard local stack: embedded engines, a scripted model if wanted, the schema, the five services."""

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from outerloop.dev import broker, clickhouse
from outerloop.dev.stack.probes import http_ok, json_line, port
from outerloop.dev.stack.process import Process
from outerloop.dev.stack.supervisor import Stack

SERVICES = ("ingest", "triage", "draft", "propose", "gate")
_NAMES = ("broker", "clickhouse", "model", "otlp", "otlp_grpc", *SERVICES)


@dataclass(frozen=True)
class ScriptedModel:
    """The scripted model's settings: its script, the seed of its coins, how often it disobeys (0 to 1)."""

    script: Path
    seed: int = 0
    disobedience: float = 0.0


@dataclass(frozen=True)
class Addresses:
    """Where each part listens on 127.0.0.1: a port each for broker, clickhouse, model and the services."""

    ports: Mapping[str, int]

    @classmethod
    def choose(cls, **wanted: int) -> "Addresses":
        """Free ports, except for those given by name (`broker=9092`)."""
        return cls(dict(zip(_NAMES, _free_ports(len(_NAMES)), strict=True)) | wanted)

    @property
    def kafka(self) -> str:
        """The bootstrap address."""
        return f"127.0.0.1:{self.ports['broker']}"

    @property
    def clickhouse(self) -> str:
        """The URL of ClickHouse's HTTP interface."""
        return f"http://127.0.0.1:{self.ports['clickhouse']}"

    @property
    def model(self) -> str:
        """The base URL of the scripted model."""
        return f"http://127.0.0.1:{self.ports['model']}"

    def readyz(self, service: str) -> str:
        """The URL that answers 200 once a service takes work."""
        return f"http://127.0.0.1:{self.ports[service]}/readyz"

    def env(self) -> dict[str, str]:
        """The settings by which any outerloop command finds this stack."""
        return {
            "OUTERLOOP_KAFKA": self.kafka,
            "OUTERLOOP_KAFKA_IDEMPOTENT_PRODUCER": "false",  # Tansu has none
            # A dead member keeps Tansu's group waiting for about twice this.
            "OUTERLOOP_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "OUTERLOOP_CLICKHOUSE": self.clickhouse,
            "OUTERLOOP_OTLP_HTTP_PORT": str(self.ports["otlp"]),
            "OUTERLOOP_OTLP_GRPC_PORT": str(self.ports["otlp_grpc"]),
        }


def local_stack(
    path: Path,
    addresses: Addresses,
    *,
    model: ScriptedModel | None = None,
    env: Mapping[str, str] | None = None,
    keep: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Stack:
    """The standard stack on `path`; `env` adds to the environment of `migrate` and of the services."""
    settings = {**addresses.env(), **(env or {})}
    engines = [
        Process("broker", broker.command(addresses.ports["broker"]), ready=port(addresses.ports["broker"])),
        Process(
            "clickhouse",
            clickhouse.command(path / "data" / "clickhouse", addresses.ports["clickhouse"]),
            ready=json_line("listening"),
        ),
    ]
    if model is not None:
        engines.append(Process("model", _model(model, addresses), ready=port(addresses.ports["model"])))
    prepare = [
        Process("migrate", _outerloop("migrate"), env=settings, once=True, ready_within=120),
        Process("topics", _outerloop("topics", "--create"), env=settings, once=True, ready_within=120),
    ]
    services = [_service(name, addresses, settings) for name in SERVICES]
    return Stack(path, [engines, prepare, services], keep=keep, report=report)


def _service(name: str, addresses: Addresses, settings: Mapping[str, str]) -> Process:
    own = {**settings, "OUTERLOOP_HTTP_PORT": str(addresses.ports[name])}
    ready = http_ok(addresses.readyz(name))
    # A first group join takes Tansu up to 5 s, and five interpreters share the cores. A crash is a bug, but
    # the loop must survive one, as it does on Kubernetes.
    return Process(name, _outerloop("run", name), env=own, ready=ready, ready_within=60, restarts=5)


def _outerloop(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "outerloop", *arguments]


def _model(model: ScriptedModel, addresses: Addresses) -> list[str]:
    return [
        *(sys.executable, "-m", "outerloop.dev.messages_api"),
        *("--script", str(model.script)),
        *("--port", str(addresses.ports["model"])),
        *("--seed", str(model.seed)),
        *("--disobedience", str(model.disobedience)),
    ]


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now. All are held until all are known, so no two are the same."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
