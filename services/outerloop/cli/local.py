"""`outerloop dev`: the whole local stack, until Ctrl-C."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outerloop.cli import output
from outerloop.cli.agents import hindrance
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.runtime.errors import UserError

if TYPE_CHECKING:
    from outerloop.dev.stack import Stack
    from outerloop.dev.stack.local import Addresses

_AGENTS = "NAME=REPOSITORY: an agent whose failures shall be repaired; repeatable"
KAFKA_PORT, CLICKHOUSE_PORT = 9092, 8123  # where other commands look, too, unless they are told
_CHOSEN = {  # the ports that a person may choose
    "broker": "--kafka-port",
    "clickhouse": "--clickhouse-port",
    "otlp": "--otlp-port",
    "otlp_grpc": "--otlp-grpc-port",
}


def dev(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="data and logs")] = Path(".outerloop/dev"),
    keep: Annotated[bool, typer.Option("--keep", help="go on with the data of the last time")] = False,
    agent: Annotated[list[str] | None, typer.Option("--agent", help=_AGENTS)] = None,
    script: Annotated[
        Path | None,
        typer.Option(
            "--model-script",
            help="answer as the model with this script, not with an API",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    kafka_port: Annotated[int, typer.Option(help="Kafka listens here", min=1, max=65535)] = KAFKA_PORT,
    clickhouse_port: Annotated[
        int, typer.Option(help="ClickHouse listens here", min=1, max=65535)
    ] = CLICKHOUSE_PORT,
    otlp_port: Annotated[int, typer.Option(help="OTLP/HTTP is received here", min=1, max=65535)] = 4318,
    otlp_grpc_port: Annotated[int, typer.Option(help="OTLP/gRPC is received here", min=1, max=65535)] = 4317,
    as_json: AsJson = False,
) -> None:
    """Start Kafka (Tansu), ClickHouse (chDB) and the five services on this machine; Ctrl-C stops them all."""
    from outerloop.dev.stack import Stack, StackError  # noqa: PLC0415 - the other commands need no stack
    from outerloop.dev.stack.local import Addresses, ScriptedModel, local_stack  # noqa: PLC0415

    if wrong := next((pair for pair in agent or () if not all(pair.partition("="))), None):
        raise UserError(f"--agent {wrong}: must be NAME=REPOSITORY, as desk=git@example.org:team/desk.git")
    addresses = Addresses.choose(
        broker=kafka_port, clickhouse=clickhouse_port, otlp=otlp_port, otlp_grpc=otlp_grpc_port
    )
    env = {"OUTERLOOP_CACHE": str(folder.resolve() / "cache")}
    if agent:
        env["OUTERLOOP_AGENTS"] = ",".join(agent)
    if script:
        # A script has no good and bad days, so a change is tried in one sitting.
        scripted = {"ANTHROPIC_BASE_URL": addresses.model, "ANTHROPIC_API_KEY": "scripted"}
        env |= scripted | {"OUTERLOOP_GATE_SITTINGS": "1"}
    model = ScriptedModel(script) if script else None
    stack = local_stack(folder, addresses, model=model, env=env, keep=keep, report=output.say)

    async def until_interrupted(stack: Stack) -> None:
        async with stack:
            _check_free(addresses.ports)
            output.say("starting Kafka (Tansu), ClickHouse (chDB) and five services …")
            await stack.start()
            _tell(addresses, stack, scripted=script is not None, as_json=as_json)
            await _look_at(agent or (), folder.resolve() / "cache" / "dev")
            await stack.wait()

    try:
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(until_interrupted(stack))
    except StackError as error:
        raise UserError(str(error)) from error


def _check_free(ports: Mapping[str, int]) -> None:
    for part, option in _CHOSEN.items():
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has ended does not count
            try:
                listening.bind(("127.0.0.1", ports[part]))
            except OSError as error:
                raise UserError(
                    f"nothing can listen on port {ports[part]} ({error.strerror}): does another"
                    f" `outerloop dev` run? Stop what is there, or choose {option}"
                ) from error


async def _look_at(agents: Sequence[str], cache: Path) -> None:
    """Say what is in the way of repairing these; services wait for it to be put right, and only log it."""
    named = common().model_copy(update={"agents": ",".join(agents)}).repositories()
    for name, (url, branch) in named.items():
        if why := await hindrance(name, url, branch, cache):
            output.say(f"nothing of {name} is repaired before this is put right: {why}")


def _tell(addresses: "Addresses", stack: "Stack", *, scripted: bool, as_json: bool) -> None:
    where = {
        "kafka": addresses.kafka,
        "clickhouse": addresses.clickhouse,
        "otlp_http": f"http://127.0.0.1:{addresses.ports['otlp']}",
        "otlp_grpc": f"127.0.0.1:{addresses.ports['otlp_grpc']}",
        "logs": str(stack.logs),
        "model": f"a script at {addresses.model}" if scripted else _live_model(),
    }
    if as_json:
        output.emit(where)
        return
    output.report([where], as_json=False, empty="")
    if (addresses.ports["broker"], addresses.ports["clickhouse"]) != (KAFKA_PORT, CLICKHOUSE_PORT):
        output.say(
            f"for other commands: export OUTERLOOP_KAFKA={addresses.kafka}"
            f" OUTERLOOP_CLICKHOUSE={addresses.clickhouse}"
        )
    output.say("send traces with `outerloop send FILE` or OTLP; Ctrl-C stops everything")


def _live_model() -> str:
    if not os.environ.get("ANTHROPIC_API_KEY"):
        return "none: set ANTHROPIC_API_KEY"
    return os.environ.get("ANTHROPIC_BASE_URL") or "Anthropic's API"
