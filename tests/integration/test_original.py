"""A stored trace exported again is the OTLP that came in, whatever its spans hold."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store import spans
from outerloop.store.migrate import migrate
from outerloop.store.original import original
from outerloop.trace.otlp import decode_traces, to_json
from outerloop.trace.wire import check_traces, delimited

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
COUNT = st.integers(0, 2**32 - 1)
TIME = st.integers(0, 2**63 - 1)
SCALARS = st.one_of(
    TEXT.map(lambda v: AnyValue(string_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
    st.floats(allow_nan=False).map(lambda v: AnyValue(double_value=v)),
    st.binary(max_size=12).map(lambda v: AnyValue(bytes_value=v)),
    st.just(AnyValue()),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: AnyValue(array_value=ArrayValue(values=v))),
        st.lists(TEXT.map(lambda v: AnyValue(string_value=v)), max_size=3).map(
            lambda v: AnyValue(array_value=ArrayValue(values=v))
        ),
        st.lists(st.builds(KeyValue, key=TEXT, value=inner), max_size=3).map(
            lambda v: AnyValue(kvlist_value=KeyValueList(values=v))
        ),
    ),
    max_leaves=6,
)
# Names that come again are among them.
PAIRS = st.lists(st.builds(KeyValue, key=st.one_of(st.just("k"), TEXT), value=VALUES), max_size=4)
EVENTS = st.builds(
    Span.Event, time_unix_nano=TIME, name=TEXT, attributes=PAIRS, dropped_attributes_count=COUNT
)
LINKS = st.builds(
    Span.Link,
    trace_id=st.binary(max_size=16),
    span_id=st.binary(max_size=8),
    trace_state=TEXT,
    attributes=PAIRS,
    dropped_attributes_count=COUNT,
    flags=COUNT,
)
SPANS = st.builds(
    Span,
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    parent_span_id=st.one_of(st.just(b""), st.just(bytes(8)), st.binary(max_size=9)),
    trace_state=TEXT,
    name=TEXT,
    kind=st.integers(0, 9),
    start_time_unix_nano=TIME,
    end_time_unix_nano=TIME,
    attributes=PAIRS,
    dropped_attributes_count=COUNT,
    events=st.lists(EVENTS, max_size=2),
    dropped_events_count=COUNT,
    links=st.lists(LINKS, max_size=2),
    dropped_links_count=COUNT,
    status=st.builds(Status, message=TEXT, code=st.integers(0, 5)),
    flags=COUNT,
)
SCOPES = st.builds(
    ScopeSpans,
    scope=st.builds(
        InstrumentationScope, name=TEXT, version=TEXT, attributes=PAIRS, dropped_attributes_count=COUNT
    ),
    spans=st.lists(SPANS, min_size=1, max_size=3),
    schema_url=TEXT,
)
RESOURCES = st.builds(
    ResourceSpans,
    resource=st.builds(
        Resource,
        attributes=PAIRS,
        dropped_attributes_count=COUNT,
        entity_refs=st.lists(st.builds(EntityRef, type=TEXT, id_keys=st.lists(TEXT, max_size=2)), max_size=1),
    ),
    scope_spans=st.lists(SCOPES, min_size=1, max_size=2),
    schema_url=TEXT,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"original_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    one = ClickHouse(settings)
    yield one
    await one.command(f"DROP DATABASE {settings.clickhouse_database}")
    await one.close()


def parts(export: ExportTraceServiceRequest) -> Iterator[tuple[bytes, Message, str, Message, str, Message]]:
    """Each span with what stands above it."""
    for group in export.resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield span.span_id, group.resource, group.schema_url, scoped.scope, scoped.schema_url, span


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(groups=st.lists(RESOURCES, min_size=1, max_size=2))
async def test_what_comes_in_comes_out(db: ClickHouse, groups: list[ResourceSpans]) -> None:
    sent = ExportTraceServiceRequest(resource_spans=groups)
    trace_id = uuid.uuid4().bytes
    by_id: dict[bytes, Span] = {}
    for group in sent.resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                while span.span_id in by_id:  # two spans are two
                    span.span_id = uuid.uuid4().bytes[:8]
                by_id[span.span_id], span.trace_id = span, trace_id
    checked = check_traces(sent.SerializeToString())
    assert not checked.refused
    await spans.store(db, delimited([checked.payload]), uuid.uuid4().hex)
    got = await original(db, trace_id.hex())
    assert {key: rest for key, *rest in parts(got)} == {key: rest for key, *rest in parts(sent)}
    assert decode_traces(to_json(got).encode()) == got
