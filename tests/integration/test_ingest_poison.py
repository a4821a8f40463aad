"""Hostile records among good ones, down to ClickHouse: each costs only itself."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from hostile import broken, odd_json
from outerloop.cli import kafka
from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.quiet import Patience, Tracker
from outerloop.ingest.settings import IngestSettings
from outerloop.ingest.storing import Storing
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.delivery import PartlyPoisonError
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS, dead_letter_topic
from outerloop.store.migrate import migrate
from outerloop.trace.otlp import to_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)
RUN = samples.run(900_000, "Hi", samples.Call("get_order", {"id": "A-1"}))
STRUCTURED = samples.run(900_001, "Hi")
_value = STRUCTURED.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="parts").value
_value.kvlist_value.values.add(key="a").value.array_value.values.add().int_value = 3


class Here:
    """Storing on a real broker and a real engine."""

    def __init__(self, own: IngestSettings, bus: Bus, db: ClickHouse) -> None:
        self.settings, self.bus, self.db = own, bus, db
        self.tracker = Tracker(Patience())
        self.storing = Storing(own, bus, db, Cleaner(own), self.tracker)

    async def store(self, values: Sequence[bytes]) -> dict[int, str]:
        """Store the records as one batch; place -> why it is poison."""
        batch = [Delivery(OTLP_SPANS, 0, next(_numbers), None, value) for value in values]
        try:
            await self.storing.store(batch)
        except PartlyPoisonError as error:
            return {
                place: str(error.poisoned[str(d)])
                for place, d in enumerate(batch)
                if str(d) in error.poisoned
            }
        return {}

    async def spans(self, number: int) -> int:
        sql = "SELECT count() AS n FROM otel_traces FINAL WHERE TraceId = {id:String}"
        found: int = (await self.db.query(sql, id=samples.trace_id(number)))[0]["n"]
        return found

    async def letters(self) -> list[Any]:
        return await kafka.records(self.settings, dead_letter_topic(OTLP_SPANS, "ingest"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tansu: str, chdb: str) -> AsyncIterator[Here]:
    own = IngestSettings(
        kafka=tansu,
        kafka_idempotent_producer=False,
        clickhouse=chdb,
        clickhouse_database=f"poison_{uuid.uuid4().hex[:8]}",
    )
    await migrate(own)
    names = [OTLP_SPANS, OTLP_LOGS]
    topics = dict.fromkeys([*names, *(dead_letter_topic(name, "ingest") for name in names)], 1)
    await kafka.create_topics(own, topics, 1)
    db = ClickHouse(own)
    async with Bus(own, "ingest") as bus:
        yield Here(own, bus, db)
    await db.command(f"DROP DATABASE {own.clickhouse_database}")
    await db.close()


def good() -> tuple[int, bytes]:
    number = next(_numbers)
    return number, samples.run(number, "Hi").SerializeToString()


PROTOBUF = RUN.SerializeToString()
POISON = {
    "truncated": (PROTOBUF[:-1], "not an OTLP"),
    "no protobuf": (b"garbage", "not an OTLP"),
    "50 MB": (
        samples.run(1, "x" * 50_000_000).SerializeToString(),
        "bytes are more than the 33554432 that are taken (OUTERLOOP_INGEST_RECORD_BYTES)",
    ),
    "invalid UTF-8": (PROTOBUF.replace(b"get_order", b"get_\xff\xfeder", 1), "not an OTLP"),
    "truncated JSON": (to_json(RUN).encode()[:-1], "not an OTLP"),
}


@pytest.mark.parametrize("name", POISON)
async def test_poison_costs_only_itself(here: Here, name: str) -> None:
    value, reason = POISON[name]
    (first, one), (last, two) = good(), good()
    found = await here.store([one, value, two])
    assert found.keys() == {1}
    assert reason in found[1]
    assert [await here.spans(number) for number in (first, last)] == [2, 2]


async def test_invalid_spans_are_set_aside_with_their_reasons(here: Here) -> None:
    (first, one), (number, _), (last, two) = good(), good(), good()
    sent = samples.run(number, "Hi", *[samples.Call("t")] * 4)
    spans = sent.resource_spans[0].scope_spans[0].spans
    spans[1].trace_id = b"short"
    spans[2].span_id = b"too long an id"
    spans[3].start_time_unix_nano = 2**63  # in the year 2262
    spans[4].events.add(time_unix_nano=2**64 - 1)
    before = len(await here.letters())
    assert await here.store([one, sent.SerializeToString(), two]) == {}
    assert [await here.spans(each) for each in (first, number, last)] == [2, 2, 2]
    (letter,) = (await here.letters())[before:]
    left_out = ExportTraceServiceRequest.FromString(letter.value)
    assert left_out.resource_spans[0].scope_spans[0].spans == spans[1:5]
    said = dict(letter.headers)["ol-dlq-error"].decode()
    assert said.startswith("4 left out of otlp_spans[0]@")
    for part in ("trace_id must be 16 bytes", "span_id must be 8 bytes", "a time must be less than 2^63 ns"):
        assert part in said


async def test_the_last_moment_that_can_be_stored_is(here: Here) -> None:
    number, _ = good()
    sent = samples.run(number, "Hi")
    span = sent.resource_spans[0].scope_spans[0].spans[0]
    span.start_time_unix_nano, span.end_time_unix_nano = 2**63 - 1, 2**64 - 1
    span.events.add(time_unix_nano=2**63 - 1, name="end")
    assert await here.store([sent.SerializeToString()]) == {}
    sql = "SELECT max(toUnixTimestamp64Nano(Timestamp)) AS at FROM otel_traces WHERE TraceId = {id:String}"
    assert (await here.db.query(sql, id=samples.trace_id(number)))[0]["at"] == 2**63 - 1


async def test_a_trace_of_many_spans_and_a_span_of_many_attributes_are_stored(here: Here) -> None:
    (first, one), (number, _), (many, _), (last, two) = good(), good(), good(), good()
    crowd = samples.request(*(samples.span(number, place, "step") for place in range(20_000)))
    wide = samples.span(many, 0, "wide")
    wide.attributes.extend(samples.attributes(**{f"key{n}": n for n in range(10_000)}))
    wide.attributes.extend(samples.attributes(gen_ai__agent__name="helpdesk"))
    values = [one, crowd.SerializeToString(), samples.request(wide).SerializeToString(), two]
    assert await here.store(values) == {}
    assert [await here.spans(n) for n in (first, number, many, last)] == [2, 20_000, 1, 2]
    sql = (
        "SELECT AgentName AS agent, length(SpanAttributes) AS n FROM otel_traces WHERE TraceId = {id:String}"
    )
    (row,) = await here.db.query(sql, id=samples.trace_id(many))
    assert row == {"agent": "helpdesk", "n": 10_001}


def field(number: int, kind: int, *values: int | bytes) -> bytes:
    """A field in protobuf's wire format: its tag, and what follows; numbers are varints."""
    return b"".join(v if isinstance(v, bytes) else varint(v) for v in (number << 3 | kind, *values))


def varint(value: int) -> bytes:
    return value.to_bytes(1, "big") if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def nested(number: int, *inside: bytes) -> bytes:
    return field(number, 2, len(b"".join(inside)), *inside)


def pair(value: bytes) -> bytes:
    return nested(9, nested(1, b"odd"), nested(2, value))


# Valid as protobuf has it, and as nobody's encoder writes it: what is added to a span -> how it reads.
ODD: dict[str, tuple[bytes, str]] = {
    "text, then number": (pair(nested(1, b"a") + field(3, 0, 7)), "7"),
    "number, then text": (pair(field(3, 0, 7) + nested(1, b"a")), "a"),
    "two lists": (pair(nested(5, nested(1, nested(1, b"a"))) * 2), '["a","a"]'),
    "yes as 7": (pair(field(2, 0, 7)), "true"),
    "a group": (field(99, 3) + field(1, 0, 5) + field(99, 4) + pair(nested(1, b"a")), "a"),
    "a name that is a number": (field(5, 0, 7) + pair(nested(1, b"a")), "a"),
    "a kind that is too large": (field(6, 0, 1 << 40) + pair(nested(1, b"a")), "a"),
    "too much dropped": (field(10, 0, 1 << 40) + pair(nested(1, b"a")), "a"),
    "its id twice": (nested(2, (1).to_bytes(8, "big")) + pair(nested(1, b"a")), "a"),
    "a value twice": (
        nested(9, nested(1, b"odd"), nested(2, nested(1, b"a")), nested(2, field(3, 0, 5))),
        "5",
    ),
}


@pytest.mark.parametrize("name", ODD)
async def test_whatever_protobuf_allows_is_stored_and_its_neighbours_too(here: Here, name: str) -> None:
    more, reads = ODD[name]
    (first, one), (number, _), (last, two) = good(), good(), good()
    span, neighbour = samples.span(number, 0, "step"), samples.span(number, 1, "neighbour")
    odd = nested(2, nested(2, span.SerializeToString(), more), nested(2, neighbour.SerializeToString()))
    structured = STRUCTURED.SerializeToString()  # it was written anew already, and stays as it is
    assert await here.store([one, nested(1, odd), structured, two]) == {}
    assert [await here.spans(n) for n in (first, number, last)] == [2, 2, 2]
    sql = "SELECT SpanAttributes['odd'] AS odd FROM otel_traces WHERE TraceId = {id:String} AND odd != ''"
    assert await here.db.query(sql, id=samples.trace_id(number)) == [{"odd": reads}]
    sql = "SELECT any(SpanAttributes['parts']) AS parts FROM otel_traces WHERE TraceId = {id:String}"
    assert await here.db.query(sql, id=samples.trace_id(900_001)) == [{"parts": '{"a":[3]}'}]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        broken(PROTOBUF)
        | broken(STRUCTURED.SerializeToString())
        | odd_json(json.loads(to_json(STRUCTURED)))
        | st.binary(max_size=80),
        min_size=5,
        max_size=12,
    )
)
async def test_whatever_stands_between_them_neighbours_are_stored(here: Here, values: list[bytes]) -> None:
    (first, one), (last, two) = good(), good()
    found = await asyncio.wait_for(here.store([one, *values, two]), 60)
    assert not {0, len(values) + 1} & found.keys()
    assert [await here.spans(number) for number in (first, last)] == [2, 2]
