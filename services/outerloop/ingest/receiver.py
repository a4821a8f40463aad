"""OTLP over HTTP, for agents without a Collector: what comes is on Kafka before it is acknowledged."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiohttp import web
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from outerloop.runtime.bus import Bus, TooLargeError
from outerloop.runtime.errors import OutageError, PoisonError
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS
from outerloop.trace.evaluation import read_evaluations
from outerloop.trace.otlp import Refusal, decode_logs, decode_traces, read_spans

# OTLP asks for a limit that also holds after decompression, and recommends this one. Below Kafka's own.
MAX_BYTES = 15 * 1024 * 1024
_RETRY_AFTER_SECONDS = "1"
_REASONS = 5  # that an answer names
_HEADERS = {"content-type": "application/x-protobuf"}


@contextlib.asynccontextmanager
async def receiver(bus: Bus, host: str, port: int) -> AsyncIterator[None]:
    """Listen while the context lasts; port 0: do not listen at all."""
    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_post("/v1/traces", _receive(bus, OTLP_SPANS, _spans))
    app.router.add_post("/v1/logs", _receive(bus, OTLP_LOGS, _logs))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    if port:
        await web.TCPSite(runner, host, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _spans(body: bytes) -> tuple[bytes, Message]:
    request = decode_traces(body)
    answer = ExportTraceServiceResponse()
    if refused := read_spans(request)[1]:
        said = ExportTracePartialSuccess(rejected_spans=len(refused), error_message=_reasons(refused))
        answer.partial_success.CopyFrom(said)
    return request.SerializeToString(), answer


def _logs(body: bytes) -> tuple[bytes, Message]:
    request = decode_logs(body)
    answer = ExportLogsServiceResponse()
    if refused := read_evaluations(request)[1]:
        said = ExportLogsPartialSuccess(rejected_log_records=len(refused), error_message=_reasons(refused))
        answer.partial_success.CopyFrom(said)
    return request.SerializeToString(), answer


def _reasons(refused: Sequence[Refusal]) -> str:
    return "; ".join(dict.fromkeys(refusal.what for refusal in refused[:_REASONS]))


def _receive(bus: Bus, topic: str, read: Callable[[bytes], tuple[bytes, Message]]) -> Any:
    async def receive(request: web.Request) -> web.Response:
        as_json = request.content_type == "application/json"
        try:
            body = await request.read()  # decompressed and limited by aiohttp: 413 over MAX_BYTES
            # What is refused goes on as well: it is left out, counted and logged where all spans come by.
            payload, answer = read(body)
            await bus.send(topic, payload, None, _HEADERS)
        except TooLargeError as error:
            return web.Response(status=413, text=str(error))
        except (PoisonError, web.RequestPayloadError) as error:
            return web.Response(status=400, text=str(error))
        except OutageError as error:
            return web.Response(status=503, text=str(error), headers={"Retry-After": _RETRY_AFTER_SECONDS})
        if as_json:
            return web.Response(text=MessageToJson(answer), content_type="application/json")
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")

    return receive
