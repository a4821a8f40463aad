"""`outerloop export`: stored traces as the OTLP that they came as."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings
from outerloop.store.original import original
from outerloop.trace.otlp import to_json
from outerloop.trace.wire import delimited


def export(
    trace_ids: Annotated[list[str], typer.Argument(help="traces, by their ids", metavar="TRACE_ID...")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="write length-delimited protobuf to this file")
    ] = None,
) -> None:
    """Give traces back as OTLP: JSON, a line a trace, or a file that `outerloop send` takes."""
    found = output.run(_originals(common(), [trace_id.lower() for trace_id in trace_ids]))
    if out is None:
        for exported in found:
            typer.echo(to_json(exported))
        return
    try:
        out.write_bytes(delimited(exported.SerializeToString() for exported in found))
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}") from error
    output.say(f"wrote {len(found)} traces to {out}")


async def _originals(settings: Settings, trace_ids: list[str]) -> list[ExportTraceServiceRequest]:
    db = ClickHouse(settings)
    try:
        found = await asyncio.gather(*(original(db, trace_id) for trace_id in trace_ids))
    finally:
        await db.close()
    for trace_id, exported in zip(trace_ids, found, strict=True):
        if not exported.resource_spans:
            raise UserError(
                f"no trace {trace_id} is stored: `outerloop sql` finds ids in otel_traces.TraceId"
            )
    return list(found)
