"""`outerloop send`: OTLP files onto Kafka, as a Collector would put them there."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import zstandard
from rich.progress import Progress

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.kafka import connected, producer
from outerloop.cli.output import AsJson
from outerloop.runtime.errors import PoisonError, UserError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS
from outerloop.trace.otlp import decode_logs, decode_traces, is_json, split_delimited

_HEADERS = [("content-type", b"application/x-protobuf")]


def send(
    files: Annotated[
        list[Path],
        typer.Argument(help="length-delimited protobuf or OTLP JSON lines; .zst too", metavar="FILE..."),
    ],
    *,
    logs: Annotated[bool, typer.Option("--logs", help="the files hold log events, not spans")] = False,
    as_json: AsJson = False,
) -> None:
    """Send OTLP files to Kafka; returns when Kafka has acknowledged every record."""
    settings = common()
    sent = {"files": len(files), "records": 0, "spans": 0}
    contents = {file: read(file) for file in files}
    output.run(_send(settings, contents, sent, logs=logs))
    if as_json:
        output.emit(sent)
    else:
        what = f"{sent['records']} records" + ("" if logs else f", {sent['spans']} spans")
        topic = OTLP_LOGS if logs else OTLP_SPANS
        output.say(f"sent {what} to {topic}; `outerloop status` shows what became of them")


async def _send(settings: Settings, contents: dict[Path, bytes], sent: dict[str, int], *, logs: bool) -> None:
    topic = OTLP_LOGS if logs else OTLP_SPANS
    total = sum(map(len, contents.values()))
    with Progress(console=output.console(), transient=True, disable=not output.console().is_terminal) as bar:
        task = bar.add_task("sending", total=total)
        async with connected(settings, producer(settings)) as kafka:
            pending: list[Any] = []
            for file, data in contents.items():
                for record in records(file, data):
                    payload, spans = _checked(file, record, logs=logs)
                    pending.append(await kafka.send(topic, payload, headers=_HEADERS))
                    sent["records"] += 1
                    sent["spans"] += spans
                    bar.advance(task, len(record))
            for acknowledged in pending:
                await acknowledged


def read(file: Path) -> bytes:
    """What a file holds, unpacked where its name ends in .zst."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    if file.suffix != ".zst":
        return data
    try:
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    except zstandard.ZstdError as error:
        raise UserError(f"{file} is not zstd: {error}") from error


def records(file: Path, data: bytes) -> Iterator[bytes]:
    """The export requests in the content of `file`."""
    if is_json(data):
        yield from filter(None, map(bytes.strip, data.splitlines()))
        return
    try:
        yield from split_delimited(data)
    except PoisonError as error:
        raise UserError(
            f"{file}: {error}; expected length-delimited OTLP protobuf or OTLP JSON lines"
        ) from error


def _checked(file: Path, record: bytes, *, logs: bool) -> tuple[bytes, int]:
    try:
        if logs:
            return decode_logs(record).SerializeToString(), 0
        request = decode_traces(record)
    except PoisonError as error:
        raise UserError(f"{file}: {error}") from error
    spans = sum(len(scoped.spans) for group in request.resource_spans for scoped in group.scope_spans)
    return request.SerializeToString(), spans
