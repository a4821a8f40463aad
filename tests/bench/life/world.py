"""World: the processes of a life. Kafka's protocol, ClickHouse, the scripted model, and the gate.

Of the services only the gate runs: the life is its own. What draft and propose would write, `proposer` does.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.life import evals, founding
from bench.life.options import Options
from bench.life.traps import Traps, traps
from outerloop.dev import broker, clickhouse
from outerloop.dev.stack import Stack
from outerloop.dev.stack.local import Addresses
from outerloop.dev.stack.probes import http_ok, json_line, port
from outerloop.dev.stack.process import Process
from outerloop.gate.settings import GateSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.git import Repository
from outerloop.runtime.settings import Settings

TESTS = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("script.py")
# A dead member keeps Tansu's group waiting for about twice this; a life has many deaths.
SESSION_MS = "2000"


@dataclass(frozen=True, slots=True)
class World:
    """All that a life has at hand. `crashes` counts ends of a process that nobody here asked for."""

    stack: Stack
    addresses: Addresses
    remote: Path
    repository: Repository
    db: ClickHouse
    traps: Traps
    crashes: list[str]

    @property
    def settings(self) -> Settings:
        """How to reach Kafka and ClickHouse."""
        return Settings(
            kafka=self.addresses.kafka,
            kafka_idempotent_producer=False,
            clickhouse=self.addresses.clickhouse,
        )


@contextlib.asynccontextmanager
async def world(options: Options, say: Callable[[str], None]) -> AsyncIterator[World]:
    """Started, with the first suite founded; all of it is stopped at the end of the block."""
    addresses, data = Addresses.choose(), options.folder / "data"
    remote, crashes = data / "desk.git", list[str]()
    async with contextlib.AsyncExitStack() as block:
        # The stack empties the folder as it is entered, and only then are traps and repository put into it.
        env: dict[str, str] = {}
        stack = await block.enter_async_context(
            Stack(options.folder, _stages(options, addresses, env), report=crashes.append)
        )
        caught = await block.enter_async_context(traps(data / "traps"))
        env |= _gate_env(addresses, remote, data, caught)
        repository = await founding.publish(remote, data / "bench" / "repository")
        say(f"founding a suite of {options.evals} evals, by the gate's own code on coins …")
        await founding.found(
            repository,
            _founding_settings(remote, data),
            number=options.evals,
            seed=options.seed,
            progress=lambda n: say(f"  {n} of {options.evals}") if n % 10 == 0 else None,
        )
        say(
            "starting Kafka's protocol by Tansu, ClickHouse by chDB, a script in place of a model, the gate …"
        )
        await stack.start()
        db = ClickHouse(Settings(clickhouse=addresses.clickhouse))
        block.push_async_callback(db.close)
        yield World(stack, addresses, remote, repository, db, caught, crashes)


def _stages(options: Options, addresses: Addresses, env: dict[str, str]) -> list[list[Process]]:
    """The processes. `env` is filled before they start."""
    ports = addresses.ports
    model = (
        *(sys.executable, "-m", "outerloop.dev.messages_api", "--script", str(SCRIPT)),
        *("--port", str(ports["model"]), "--seed", str(options.seed)),
    )
    paths = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    engines = [
        Process("broker", broker.command(ports["broker"]), ready=port(ports["broker"])),
        Process(
            "clickhouse",
            clickhouse.command(options.folder / "data" / "clickhouse", ports["clickhouse"]),
            ready=json_line("listening"),
        ),
        Process(
            "model",
            model,
            env={"LIFE_EVALS": str(options.evals), "PYTHONPATH": paths},
            ready=port(ports["model"]),
        ),
    ]
    prepare = [
        Process("migrate", _outerloop("migrate"), env=env, once=True),
        Process("topics", _outerloop("topics", "--create"), env=env, once=True),
    ]
    ready = http_ok(addresses.readyz("gate"))
    gate = Process("gate", _outerloop("run", "gate"), env=env, ready=ready, ready_within=120, restarts=5)
    return [engines, prepare, [gate]]


def _gate_env(addresses: Addresses, remote: Path, data: Path, caught: Traps) -> dict[str, str]:
    return {
        **addresses.env(),
        "OUTERLOOP_KAFKA_SESSION_TIMEOUT_MS": SESSION_MS,
        "OUTERLOOP_HTTP_PORT": str(addresses.ports["gate"]),
        "OUTERLOOP_AGENTS": f"{evals.AGENT}={remote}",
        "OUTERLOOP_CACHE": str(data / "cache"),
        "OUTERLOOP_TRIAL_SECONDS": "20",
        "OUTERLOOP_GATE_TRIALS_AT_ONCE": "4",  # they wait for one another more than for the processor
        "OUTERLOOP_SANDBOX": "bubblewrap",  # said, because here it matters
        "OUTERLOOP_GATE_SITTINGS": "1",  # the script has no good and bad days to spread a confirmation over
        "ANTHROPIC_BASE_URL": addresses.model,
        "ANTHROPIC_API_KEY": caught.token,  # what hostile code would like to have
    }


def _founding_settings(remote: Path, data: Path) -> GateSettings:
    return GateSettings(
        agents=f"{evals.AGENT}={remote}",
        cache=data / "bench" / "founding",
        sandbox="none",  # nothing of a change runs but the team's own tests, and the certificates say so
        agent_environment=Path(sys.prefix),
    )


def _outerloop(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "outerloop", *arguments]
