"""OTLP over gRPC and HTTP, from the official exporters and from hostile clients, to a real broker."""

import asyncio
import contextlib
import gzip
import io
import json
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import samples
from engines.embedded import Tansu
from engines.kafka import ApacheKafka, missing
from engines.server import Server, free_port
from outerloop.cli import kafka
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.receiver import intake, receivers
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.errors import UserError
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
MOST = IngestSettings().otlp_max_bytes


@dataclass(frozen=True)
class Receivers:
    """Receivers that listen, and the broker behind them."""

    settings: IngestSettings
    broker: Server

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.settings.otlp_http_port}"

    @property
    def rpc(self) -> str:
        return f"127.0.0.1:{self.settings.otlp_grpc_port}"

    async def records(self, topic: str = OTLP_SPANS) -> list[Any]:
        return await kafka.records(self.settings, topic)

    async def post(
        self, body: bytes, headers: dict[str, str] = PROTOBUF, path: str = "/v1/traces"
    ) -> tuple[int, bytes, Any]:
        async with (
            aiohttp.ClientSession() as http,
            http.post(self.http + path, data=io.BytesIO(body), headers=headers) as answer,
        ):
            return answer.status, await answer.read(), answer.headers

    async def raw(self, body: bytes, header: bytes) -> bytes:
        """The status line for a request with a header that no client would send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.otlp_http_port)
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
        writer.write(head + b"Content-Type: application/x-protobuf\r\n" + header + b"\r\n\r\n" + body)
        line = await reader.readline()
        writer.close()
        return line

    async def call(self, body: bytes, method: str = TRACES, **how: Any) -> bytes:
        async with grpc.aio.insecure_channel(self.rpc) as channel:
            return bytes(await channel.unary_unary(method)(body, **how))

    async def call_refused(self, body: bytes, **how: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(body, **how)
        return caught.value

    async def spans(self, *numbers: int) -> list[Any]:
        """What is on Kafka of these runs."""
        wanted = {bytes.fromhex(samples.trace_id(number)) for number in numbers}
        requests = [ExportTraceServiceRequest.FromString(r.value) for r in await self.records()]
        return [span for r in requests for span in spans_in(r) if span.trace_id in wanted]


async def eventually(ask: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await ask():  # noqa: ASYNC110 - it happens in the broker
            await asyncio.sleep(0.1)


def spans_in(request: ExportTraceServiceRequest) -> list[Any]:
    return [span for g in request.resource_spans for scope in g.scope_spans for span in scope.spans]


@contextlib.asynccontextmanager
async def listening(broker: Any, **settings: Any) -> AsyncIterator[Receivers]:
    where: dict[str, Any] = {
        "kafka": broker.bootstrap,
        "kafka_idempotent_producer": False,
        "otlp_http_port": free_port(),
        "otlp_grpc_port": free_port(),
    }
    own = IngestSettings(**(where | settings))
    await kafka.create_topics(own, {OTLP_SPANS: 2, OTLP_LOGS: 1}, 1)
    async with Bus(own, "ingest") as bus, receivers(bus, own, Cleaner(own)):
        yield Receivers(own, broker)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    server = Tansu(tmp_path_factory.mktemp("tansu"))
    server.start()
    yield server
    server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(broker: Tansu) -> AsyncIterator[Receivers]:
    async with listening(broker) as found:
        yield found


def made_spans(count: int) -> list[ReadableSpan]:
    """Spans of one trace, made by the SDK."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("root"):
        for number in range(count - 1):
            with tracer.start_as_current_span(f"child {number}"):
                pass
    return list(memory.get_finished_spans())


@pytest.mark.parametrize(
    "exporter",
    [
        lambda there: GrpcExporter(there.rpc, insecure=True),
        lambda there: GrpcExporter(there.rpc, insecure=True, compression=grpc.Compression.Gzip),
        lambda there: HttpExporter(f"{there.http}/v1/traces"),
        lambda there: HttpExporter(f"{there.http}/v1/traces", compression=Compression.Gzip),
        lambda there: HttpExporter(f"{there.http}/v1/traces", compression=Compression.Deflate),
    ],
    ids=["grpc", "grpc gzip", "http", "http gzip", "http deflate"],
)
async def test_the_official_exporters_are_served(
    there: Receivers, exporter: Callable[[Receivers], SpanExporter]
) -> None:
    spans = made_spans(5)
    context = spans[0].get_span_context()
    assert context is not None
    assert await asyncio.to_thread(exporter(there).export, spans) is SpanExportResult.SUCCESS
    (record,) = [r for r in await there.records() if r.key == f"{context.trace_id:032x}".encode()]
    stored = spans_in(ExportTraceServiceRequest.FromString(record.value))
    assert {s.name for s in stored} == {s.name for s in spans}


async def test_an_exporter_tries_again_until_kafka_is_back(
    broker: Tansu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_KAFKA_SECONDS", 0.5)
    spans = made_spans(3)
    context = spans[0].get_span_context()
    assert context is not None
    async with listening(broker) as there:
        for exporter in (
            GrpcExporter(there.rpc, insecure=True),
            HttpExporter(f"{there.http}/v1/traces"),
        ):
            before = len(await there.records())
            with stopped(broker):
                sending = asyncio.create_task(asyncio.to_thread(exporter.export, spans))
                await asyncio.sleep(1.2)
            assert await sending is SpanExportResult.SUCCESS
            assert len(await there.records()) >= before + 2  # the try that was not waited for came too


@contextlib.contextmanager
def stopped(broker: Server) -> Iterator[None]:
    """A broker that keeps its connections and does not answer."""
    broker._child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker._child.send_signal(signal.SIGCONT)


async def test_while_kafka_does_not_answer_senders_are_told_to_come_again(
    broker: Tansu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_KAFKA_SECONDS", 0.5)
    body = samples.run(901, "Hi").SerializeToString()
    async with listening(broker) as there:
        await there.post(b"")  # connected
        with stopped(broker):
            status, said, headers = await there.post(body)
            error = await there.call_refused(body)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "Kafka has not taken this" in Status.FromString(said).message
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        trailers = dict(error.trailing_metadata() or ())
        details = Status.FromString(trailers["grpc-status-details-bin"]).details[0]
        retry = RetryInfo()
        assert details.Unpack(retry)
        assert retry.retry_delay.seconds == 1

        async def there_twice() -> bool:
            return len(await there.spans(901)) == 4

        await eventually(there_twice)


async def test_what_kafka_does_not_have_yet_is_bounded(
    broker: Tansu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_KAFKA_SECONDS", 0.3)
    body = samples.request(samples.span(902, 0, "x" * 400_000)).SerializeToString()
    async with listening(broker, otlp_pending_bytes=1024 * 1024, otlp_max_bytes=1024 * 1024) as there:
        await there.post(b"")
        with stopped(broker):
            answers = [(await there.post(body))[::2] for _ in range(3)]
            refused = await there.call_refused(body)
        # Two are held until Kafka has them, though their senders were answered; there is no room for a third.
        assert [status for status, _ in answers] == [503, 503, 429]
        assert answers[2][1]["Retry-After"] == "1"
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert "too much is under way" in str(refused.details())

        async def taken() -> bool:
            return (await there.post(body))[0] == 200

        await eventually(taken)
        assert await there.call(body) == b""


async def test_otlp_json_has_hex_ids(there: Receivers) -> None:
    span = {"traceId": samples.trace_id(910), "spanId": f"{7:016x}", "name": "n", "kind": 2, "new": {}}
    span |= {"startTimeUnixNano": "5", "attributes": [{"key": "n", "value": {"intValue": "3"}}]}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    status, answer, headers = await there.post(json.dumps(body).encode(), JSON)
    assert (status, answer, headers["content-type"].split(";")[0]) == (200, b"{}", JSON["content-type"])
    (stored,) = await there.spans(910)
    assert stored.span_id == (7).to_bytes(8, "big")
    assert (stored.kind, stored.attributes[0].value.int_value) == (2, 3)


async def test_each_trace_of_a_request_is_a_record_under_its_id(there: Receivers) -> None:
    request = ExportTraceServiceRequest()
    for number in range(920, 930):
        request.MergeFrom(samples.run(number, "Hi", samples.Call("t"), version=str(number)))
    request.resource_spans[3].scope_spans[0].spans.append(samples.span(920, 9, "elsewhere"))
    request.resource_spans[3].schema_url = "u"
    assert await there.call(request.SerializeToString()) == b""
    keys = {samples.trace_id(number).encode(): number for number in range(920, 930)}
    found = {keys[r.key]: r for r in await there.records() if r.key in keys}
    assert sorted(found) == list(range(920, 930))
    first = ExportTraceServiceRequest.FromString(found[920].value)
    assert [len(g.scope_spans[0].spans) for g in first.resource_spans] == [3, 1]
    assert first.resource_spans[1].resource == request.resource_spans[3].resource
    assert first.resource_spans[1].schema_url == "u"
    sent = sorted(s.SerializeToString() for s in spans_in(request))
    assert sorted(s.SerializeToString() for s in await there.spans(*range(920, 930))) == sent


@pytest.mark.parametrize("way", ["http", "grpc"])
async def test_a_trace_larger_than_a_record_goes_in_parts(there: Receivers, way: str) -> None:
    number = 931 if way == "http" else 932
    spans = [samples.span(number, place, f"{place}" + "x" * 90_000) for place in range(200)]
    body = samples.request(*spans).SerializeToString()
    assert 17_000_000 < len(body) < MOST
    if way == "http":
        assert (await there.post(gzip.compress(body, 1), PROTOBUF | {"content-encoding": "gzip"}))[0] == 200
    else:
        assert await there.call(body) == b""
    key = samples.trace_id(number).encode()
    records = [r for r in await there.records() if r.key == key]
    assert len(records) > 10
    assert max(len(r.value) for r in records) < 1_000_000
    assert {s.span_id for s in await there.spans(number)} == {s.span_id for s in spans}


@pytest.mark.parametrize("way", ["http", "grpc"])
async def test_a_span_larger_than_kafka_takes_costs_only_itself(there: Receivers, way: str) -> None:
    number = 933 if way == "http" else 934
    huge = samples.span(number, 1, "x" * (17 * 1024 * 1024))
    body = samples.request(samples.span(number, 0, "small"), huge).SerializeToString()
    answer = (await there.post(body))[1] if way == "http" else await there.call(body)
    said = ExportTraceServiceResponse.FromString(answer).partial_success
    assert said.rejected_spans == 1
    assert "are too many for otlp_spans" in said.error_message
    assert [s.name for s in await there.spans(number)] == ["small"]


async def test_what_will_be_left_out_is_said(there: Receivers) -> None:
    run = samples.run(940, "Hi", samples.Call("t"))
    run.resource_spans[0].scope_spans[0].spans[1].span_id = b""
    body = run.SerializeToString()
    for answer in (await there.call(body), (await there.post(body))[1]):
        said = ExportTraceServiceResponse.FromString(answer).partial_success
        assert said.rejected_spans == 1
        assert said.error_message == "span_id must be 8 bytes and not all zero, got none"
    results = samples.evaluation(940, "quality", "pass")
    results.resource_logs[0].scope_logs[0].log_records[0].trace_id = b""
    body = results.SerializeToString()
    for answer in (await there.call(body, LOGS), (await there.post(body, path="/v1/logs"))[1]):
        logs = ExportLogsServiceResponse.FromString(answer).partial_success
        assert logs.rejected_log_records == 1


async def test_secrets_do_not_reach_kafka(there: Receivers) -> None:
    secret = "gh" + "p_" + "a1" * 18
    run = samples.run(941, f"my token is {secret}")
    assert await there.call(run.SerializeToString()) == b""
    as_json = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": secret}]}]}]})
    assert (await there.post(as_json.encode(), JSON))[0] == 200
    assert all(secret.encode() not in record.value for record in await there.records())
    assert any("my token is [github-token:" in str(span) for span in await there.spans(941))


async def test_an_empty_request_is_a_success(there: Receivers) -> None:
    before = len(await there.records())
    assert await there.call(b"") == b""
    assert (await there.post(b""))[:2] == (200, b"")
    assert (await there.post(b"{}", JSON))[:2] == (200, b"{}")
    assert len(await there.records()) == before


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"garbage", {}, 400),
        (b'{"resourceSpans": 1}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"parentSpanId": "xyz"}]}]}]}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"not gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(bytes(1000))[:-9], {"content-encoding": "gzip"}, 400),
        (b"x", {"content-encoding": "snappy"}, 415),
        (b"x", {"content-type": "text/plain"}, 415),
        (bytes(MOST + 1), {}, 413),
        (gzip.compress(bytes(MOST + 1)), {"content-encoding": "gzip"}, 413),
    ],
    ids=[
        *("garbage", "not OTLP", "ids not hex", "deep", "not gzip", "cut gzip", "unknown coding", "text"),
        *("too large", "too large once decompressed"),
    ],
)
async def test_what_cannot_be_taken_over_http_is_refused(
    there: Receivers, body: bytes, headers: dict[str, str], status: int
) -> None:
    got, said, answered = await there.post(body, PROTOBUF | headers)
    assert got == status
    if headers == JSON:
        assert answered["content-type"].startswith(JSON["content-type"])
        assert json_format.Parse(said, Status()).message
    else:
        assert Status.FromString(said).message


async def test_headers_are_read_as_http_has_them(there: Receivers) -> None:
    body = samples.run(956, "Hi").SerializeToString()
    assert b" 200 " in await there.raw(body, b"Authorization: Bearer \xff\xfe")
    assert (await there.post(body, {"content-type": "Application/X-Protobuf"}))[0] == 200
    assert (await there.post(gzip.compress(body), PROTOBUF | {"content-encoding": "GZIP"}))[0] == 200


async def test_what_cannot_be_taken_over_grpc_is_refused(there: Receivers) -> None:
    compressed: dict[str, Any] = {"compression": grpc.Compression.Gzip}
    garbage = await there.call_refused(b"garbage")
    assert garbage.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await there.call_refused(b"\x1f\x8bgarbage")).code() is grpc.StatusCode.INVALID_ARGUMENT
    body = gzip.compress(samples.run(955, "Hi").SerializeToString())
    two_at_once = await there.call_refused(body + body)  # it would be half of it that is taken
    assert "bytes follow the compressed message" in (two_at_once.details() or "")
    for too_large in (
        await there.call_refused(bytes(MOST + 1)),
        await there.call_refused(bytes(200 * 1024 * 1024), **compressed),
    ):
        assert too_large.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(too_large.trailing_metadata() or ())
        assert "grpc-status-details-bin" not in trailers  # no RetryInfo: it is not sent again


async def test_a_sender_that_is_slow_or_gone_holds_nobody_up(
    broker: Tansu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outerloop.ingest.receiver.http.READ_SECONDS", 0.5)
    body = samples.run(950, "Hi").SerializeToString()
    async with listening(broker) as there:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF['content-type']}\r\n"
        head += f"Content-Length: {MOST}\r\n\r\n"
        port = there.settings.otlp_http_port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + b"\n")
        gone = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(20)]
        for connection in gone:
            connection.write(head.encode())
            connection.close()
        assert (await there.post(body))[0] == 200
        assert b" 408 " in await reader.readline()
        writer.close()
        # What they held is free again.
        assert (await there.post(bytes(MOST)))[0] == 400


async def test_a_token_is_asked_for(broker: Tansu) -> None:
    body = samples.run(960, "Hi").SerializeToString()
    async with listening(broker, otlp_token="old-one, new-one") as there:
        assert (await there.post(body))[0] == 401
        assert (await there.post(body, PROTOBUF | {"authorization": "Basic new-one"}))[0] == 401
        assert (await there.post(body, PROTOBUF | {"authorization": "Bearer new-on"}))[0] == 401
        assert b" 401 " in await there.raw(body, b"Authorization: Bearer \xff")
        assert (await there.call_refused(body)).code() is grpc.StatusCode.UNAUTHENTICATED
        assert await there.spans(960) == []
        for token in ("old-one", "new-one"):
            assert (await there.post(body, PROTOBUF | {"authorization": f"Bearer {token}"}))[0] == 200
            assert await there.call(body, metadata=(("authorization", f"bearer {token}"),)) == b""


async def test_a_port_that_is_taken_is_said(broker: Tansu, there: Receivers) -> None:
    for name in ("otlp_http_port", "otlp_grpc_port"):
        with pytest.raises(UserError, match=f"cannot listen on .* \\(OUTERLOOP_{name.upper()}\\)"):
            async with listening(broker, **{name: getattr(there.settings, name)}):
                pass


async def test_tls_with_and_without_certificates_of_senders(
    broker: Tansu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # requests prefers it to what the exporter says
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    ca, server, client = _certificates(tmp_path)
    own: dict[str, Any] = {"otlp_tls_certificate": server[0], "otlp_tls_key": server[1]}
    body = samples.run(970, "Hi").SerializeToString()

    async def both(there: Receivers, **client_pair: Any) -> None:
        spans = made_spans(2)
        https = f"https://127.0.0.1:{there.settings.otlp_http_port}/v1/traces"
        over_http = HttpExporter(
            https,
            certificate_file=str(ca),
            client_certificate_file=str(client[0]) if client_pair else None,
            client_key_file=str(client[1]) if client_pair else None,
        )
        over_grpc = GrpcExporter(
            f"https://{there.rpc}",
            credentials=grpc.ssl_channel_credentials(ca.read_bytes(), **client_pair),
            timeout=60,
        )
        for exporter in (over_http, over_grpc):
            result = await asyncio.to_thread(exporter.export, spans)
            assert result is SpanExportResult.SUCCESS

    pair = {"private_key": client[1].read_bytes(), "certificate_chain": client[0].read_bytes()}
    async with listening(broker, **own) as there:
        await both(there)
        with pytest.raises(aiohttp.ClientError):
            await there.post(body)  # plain
    async with listening(broker, **own, otlp_tls_client_ca=ca) as there:
        await both(there, **pair)
        async with grpc.aio.secure_channel(
            there.rpc, grpc.ssl_channel_credentials(ca.read_bytes())
        ) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(TRACES)(body, timeout=3)
    with pytest.raises(UserError, match="OUTERLOOP_OTLP_TLS_CERTIFICATE"):
        async with listening(broker, otlp_tls_certificate=server[0], otlp_tls_key=client[1]):
            pass


def _certificates(path: Path) -> tuple[Path, tuple[Path, Path], tuple[Path, Path]]:
    """A CA, and certificates with keys of a server at 127.0.0.1 and of a client, by openssl."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=path, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    (path / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *new_key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
    pairs = [(path / f"{name}.pem", path / f"{name}.key") for name in ("server", "client")]
    return path / "ca.pem", pairs[0], pairs[1]


@pytest.mark.skipif(bool(missing()), reason=f"Apache Kafka cannot run here: {missing()}")
async def test_apache_kafka_with_its_default_limit_takes_large_requests(tmp_path: Path) -> None:
    broker = ApacheKafka(tmp_path)
    broker.start()
    spans = [samples.span(980, place, f"{place}" + "x" * 9_000) for place in range(900)]
    body = samples.request(*spans).SerializeToString()
    try:
        async with listening(broker) as there:
            limit = {"max.message.bytes": "1048588"}  # a broker's default; the test broker's own is larger
            await asyncio.to_thread(_configure, broker.bootstrap, limit)
            assert await there.call(body) == b""
            assert len(await there.spans(980)) == 900
    finally:
        broker.stop()


def _configure(bootstrap: str, configs: dict[str, str]) -> None:
    async def alter() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, OTLP_SPANS, configs)])
        await admin.close()

    asyncio.run(alter())


async def test_many_senders_at_once(there: Receivers) -> None:
    bodies = {n: samples.run(n, "Hi", samples.Call("t")).SerializeToString() for n in range(1000, 1200)}
    together = threading.active_count()
    await asyncio.gather(*(there.call(b) if n % 2 else there.post(b) for n, b in bodies.items()))
    assert len(await there.spans(*bodies)) == 3 * len(bodies)
    assert threading.active_count() < together + 50
