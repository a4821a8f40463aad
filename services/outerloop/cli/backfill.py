"""`outerloop backfill`: what other tools export, through Kafka like any trace."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from outerloop.cli import exported, output
from outerloop.cli.config import common
from outerloop.cli.exported import Account, Part
from outerloop.cli.kafka import connected, producer
from outerloop.cli.output import AsJson
from outerloop.ingest.core.pieces import pieces
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS

_HEADERS = [("content-type", b"application/x-protobuf")]
_PIECE_BYTES = 900_000  # brokers take 1 MB by default


def backfill(
    files: Annotated[
        list[Path],
        typer.Argument(help="OTLP (protobuf, JSON, JSON lines), unless an option says otherwise; .zst, .gz"),
    ],
    *,
    from_langfuse: Annotated[
        bool, typer.Option("--langfuse", help="observations, traces, scores; JSON (lines) or Parquet")
    ] = False,
    from_phoenix: Annotated[
        bool, typer.Option("--phoenix", help="spans, as its client saves them; JSON (lines) or Parquet")
    ] = False,
    agent: Annotated[
        str, typer.Option("--agent", help="whose traces they are, which exports of other tools do not say")
    ] = "",
    per_second: Annotated[float, typer.Option("--per-second", min=1, help="spans sent a second")] = 2000.0,
    as_json: AsJson = False,
) -> None:
    """Bring in traces that other tools have kept. The same files again change nothing: ids stay the same."""
    foreign = from_langfuse or from_phoenix
    if from_langfuse and from_phoenix:
        raise UserError("--langfuse and --phoenix: one at a time")
    if foreign != bool(agent):
        raise UserError("--agent goes with --langfuse or --phoenix, and they with it: OTLP says whose it is")
    account = Account()
    if foreign:
        read = exported.of_langfuse if from_langfuse else exported.of_phoenix
        parts = read(files, account, agent)
    else:
        parts = exported.of_otlp(files, account)
    output.run(_send(common(), parts, account, per_second))
    _report(account, as_json=as_json)


async def _send(settings: Settings, parts: Iterator[Part], account: Account, per_second: float) -> None:
    console, began = output.console(), time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sending", total=None)
        async with connected(settings, producer(settings)) as kafka:
            for traces, logs in parts:
                cut = [
                    *(
                        (OTLP_SPANS, p)
                        for p in pieces(traces, "resource_spans", "scope_spans", "spans", _PIECE_BYTES)
                    ),
                    *(
                        (OTLP_LOGS, p)
                        for p in pieces(logs, "resource_logs", "scope_logs", "log_records", _PIECE_BYTES)
                    ),
                ]
                values = [(topic, p.message.SerializeToString(), p.key) for topic, p in cut]
                sent = [await kafka.send(topic, v, key=key, headers=_HEADERS) for topic, v, key in values]
                await asyncio.gather(*sent)
                account.spans += sum(p.items for topic, p in cut if topic == OTLP_SPANS)
                account.evaluations += sum(p.items for topic, p in cut if topic == OTLP_LOGS)
                bar.update(task, description=f"{account.records} records, {account.spans} spans")
                await asyncio.sleep(max(0.0, account.spans / per_second - (time.monotonic() - began)))


def _report(account: Account, *, as_json: bool) -> None:
    if as_json:
        output.emit(vars(account) | {"unmapped": dict(account.unmapped.most_common())})
    else:
        output.say(
            f"sent {account.spans} spans and {account.evaluations} evaluations from {account.records}"
            " records; `outerloop status` shows what became of them"
        )
        if account.unmapped:
            said = ", ".join(f"{name} ({count})" for name, count in account.unmapped.most_common())
            output.say(f"fields that have no place in a span, and in how many records they stand: {said}")
        for wrong in account.wrong:
            output.say(f"left out: {wrong}")
        if account.left_out > len(account.wrong):
            output.say(f"left out: {account.left_out - len(account.wrong)} more")
    if account.left_out:
        raise typer.Exit(1)
