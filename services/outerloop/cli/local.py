"""`outerloop dev`: the whole local stack, until Ctrl-C."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.output import AsJson
from outerloop.runtime.errors import UserError

_AGENTS = "NAME=REPOSITORY: an agent whose failures shall be repaired; repeatable"


def dev(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="data and logs")] = Path(".outerloop/dev"),
    keep: Annotated[bool, typer.Option("--keep", help="go on with the data of the last time")] = False,
    agent: Annotated[list[str] | None, typer.Option("--agent", help=_AGENTS)] = None,
    script: Annotated[
        Path | None,
        typer.Option("--model-script", help="answer as the model with this script, not with an API"),
    ] = None,
    kafka_port: Annotated[int, typer.Option(help="Kafka listens here")] = 9092,
    clickhouse_port: Annotated[int, typer.Option(help="ClickHouse listens here")] = 8123,
    otlp_port: Annotated[int, typer.Option(help="OTLP/HTTP is received here")] = 4318,
    otlp_grpc_port: Annotated[int, typer.Option(help="OTLP/gRPC is received here")] = 4317,
    as_json: AsJson = False,
) -> None:
    """Start Kafka (Tansu), ClickHouse (chDB) and the five services on this machine; Ctrl-C stops them all."""
    from outerloop.dev.stack import Stack, StackError  # noqa: PLC0415 - the other commands need no stack
    from outerloop.dev.stack.local import Addresses, ScriptedModel, local_stack  # noqa: PLC0415

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
            output.say("starting Kafka (Tansu), ClickHouse (chDB) and five services …")
            await stack.start()
            where = {
                "kafka": addresses.kafka,
                "clickhouse": addresses.clickhouse,
                "otlp_http": f"http://127.0.0.1:{otlp_port}",
                "otlp_grpc": f"127.0.0.1:{otlp_grpc_port}",
                "logs": str(stack.logs),
                "model": "a script" if script else _live_model(),
            }
            if as_json:
                output.emit(where)
            else:
                output.report([where], as_json=False, empty="")
                output.say("send traces with `outerloop send FILE` or OTLP; Ctrl-C stops everything")
            await stack.wait()

    try:
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(until_interrupted(stack))
    except StackError as error:
        raise UserError(str(error)) from error


def _live_model() -> str:
    return "Anthropic's API" if os.environ.get("ANTHROPIC_API_KEY") else "none: set ANTHROPIC_API_KEY"
