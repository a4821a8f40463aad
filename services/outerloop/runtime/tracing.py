"""The services' own OpenTelemetry spans: each event about a failure mode as it is sent and as it is handled.

They go where OTEL_EXPORTER_OTLP_ENDPOINT says; headers, certificates and so on are the SDK's own variables.
Names follow OpenTelemetry's semantic conventions for messaging. Whatever becomes of them, the loop goes on.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from google.protobuf.message import Message

from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import UserError
from outerloop.runtime.tracecontext import Context, Step, step

log = logging.getLogger(__name__)

Handler = Callable[[Sequence[Delivery]], Awaitable[None]]
_CLOSE_SECONDS = 4.0
_ATTRIBUTES = {  # of a message, where it has them
    "mode_id": "outerloop.mode.id",
    "agent": "gen_ai.agent.name",
    "eval_id": "outerloop.eval.id",
    "change_id": "outerloop.change.id",
    "decision_id": "outerloop.decision.id",
    "commit": "vcs.ref.head.revision",
}


class Tracing:
    """The spans of one service; none at all where `endpoint` is empty.

    Raises:
        UserError: when spans are wanted, and what sends them is not installed.
    """

    def __init__(self, endpoint: str, service: str) -> None:
        self._service = service
        self._spans = _Spans(endpoint, service) if endpoint else None

    @contextlib.contextmanager
    def sending(self, message: Message, topic: str, cause: Delivery | None) -> Iterator[Context]:
        """Around the sending of `message`: the context that its record must carry."""
        place = step(message, cause.headers.get("traceparent", "") if cause else "")
        if self._spans is None or not place.own.sampled:
            yield place.own
            return
        said = {"messaging.operation.type": "send", "messaging.destination.name": topic}
        said |= {name: str(v) for field, name in _ATTRIBUTES.items() if (v := getattr(message, field, ""))}
        with self._spans.span(f"send {topic}", "PRODUCER", place, said):
            yield place.own

    def handling(self, handle: Handler) -> Handler:
        """`handle`, with a span around it for each record that is sampled; what it sends follows that."""
        spans = self._spans
        if spans is None:
            return handle

        async def traced(batch: Sequence[Delivery]) -> None:
            with contextlib.ExitStack() as stack:
                await handle([stack.enter_context(self._handled(spans, record)) for record in batch])

        return traced

    @contextlib.contextmanager
    def _handled(self, spans: "_Spans", record: Delivery) -> Iterator[Delivery]:
        parent = Context.parse(record.headers.get("traceparent", ""))
        ours = record.headers.get("ce_source", "").startswith("outerloop/")  # exports of traces are not
        if parent is None or not parent.sampled or not ours:
            yield record
            return
        own = replace(parent, span_id=secrets.token_hex(8))
        said = {
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": f"outerloop-{self._service}",
            "messaging.message.id": record.headers.get("ce_id", ""),
        }
        with spans.span(f"process {record.topic}", "CONSUMER", Step(own, parent), said):
            yield replace(record, headers={**record.headers, "traceparent": str(own)})

    async def close(self) -> None:
        """Send what is still to be sent, for a few seconds at most."""
        if self._spans is not None:
            await self._spans.close()


class _Spans:
    """The SDK, made to give spans the ids that their events have."""

    def __init__(self, endpoint: str, service: str) -> None:
        try:
            from opentelemetry import trace  # noqa: PLC0415 - an extra
            from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415
            from opentelemetry.sdk import resources  # noqa: PLC0415
            from opentelemetry.sdk import trace as sdk  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise UserError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint}, and what sends traces there is not installed: "
                "pip install 'outerloop[tracing]', or unset it"
            ) from error

        class Given(RandomIdGenerator):
            """Gives out the ids of `own`."""

            own: Context

            def generate_trace_id(self) -> int:
                return int(self.own.trace_id, 16)

            def generate_span_id(self) -> int:
                return int(self.own.span_id, 16)

        self._trace, self._ids = trace, Given()
        named = {"service.name": f"outerloop-{service}", "service.version": version("outerloop")}
        self._provider = sdk.TracerProvider(
            resource=resources.Resource.create(named), id_generator=self._ids, shutdown_on_exit=False
        )
        exporter = trace_exporter.OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("outerloop", version("outerloop"))

    @contextlib.contextmanager
    def span(self, name: str, kind: str, place: Step, said: dict[str, Any]) -> Iterator[None]:
        trace = self._trace
        above = trace.set_span_in_context(trace.INVALID_SPAN)
        if place.parent:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            trace_id, span_id = int(place.parent.trace_id, 16), int(place.parent.span_id, 16)
            context = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
            above = trace.set_span_in_context(trace.NonRecordingSpan(context))
        self._ids.own = place.own
        span = self._tracer.start_span(
            name, above, trace.SpanKind[kind], {"messaging.system": "kafka", **said}
        )
        try:
            yield
        except Exception as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            raise
        finally:
            span.end()

    async def close(self) -> None:
        closing = asyncio.to_thread(self._provider.shutdown)
        try:
            await asyncio.wait_for(closing, _CLOSE_SECONDS)
        except TimeoutError:
            log.warning("some spans of the service's own were not taken by OTEL_EXPORTER_OTLP_ENDPOINT")
