"""The bus on a real broker: the envelope, retries, dead letters, redelivery, what nothing may lose.

One subscriber serves the module, as the first join of a group takes Tansu seconds.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from outerloop.cli import kafka
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.runtime.bus import MAX_RECORD_BYTES, STOP_SECONDS, Bus, TooLargeError
from outerloop.runtime.envelope import Delivery, stable_id, unpack
from outerloop.runtime.errors import DeadLetterFloodError, OutageError, PoisonError, UserError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topic_of
from outerloop.runtime.tracecontext import root_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN = uuid.uuid4().hex[:8]
GROUP = f"bus{RUN}"
CASES = ("plain", "header", "tombstone", "bug", "poison", "alone", "outage", "large", "trace", "huge")
MODES = topic_of(ModeOpened).name
RETRIES = 2


def topic(case: str) -> str:
    return f"outerloop.bus{RUN}.{case}"


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it happens in the broker
            await asyncio.sleep(0.02)


class Desk:
    """A handler that does to the records of a topic what that topic's test says."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Delivery]] = defaultdict(list)
        self.does: dict[str, Callable[[Delivery], Awaitable[None]]] = {}

    async def handle(self, batch: Sequence[Delivery]) -> None:
        for record in batch:
            self.seen[record.topic].append(record)
            if does := self.does.get(record.topic):
                await does(record)


@pytest.fixture(scope="module")
def settings(tansu: str) -> Settings:
    return Settings(
        kafka=tansu, kafka_idempotent_producer=False, kafka_session_timeout_ms=6000, retries=RETRIES
    )


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(settings: Settings, desk: Desk) -> AsyncIterator[Bus]:
    wanted = {topic(case): 1 for case in CASES}
    letters = {dead_letter_topic(name, GROUP): 1 for name in (*wanted, MODES)}
    await kafka.create_topics(settings, wanted | letters | {MODES: 12}, 1)
    one = Bus(settings, GROUP)
    one.subscribe([*wanted, MODES], desk.handle, at_most=10)
    async with one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with kafka.connected(settings, kafka.producer(settings)) as one:
        yield one


async def letters(settings: Settings, case: str) -> list[Any]:
    return await kafka.records(settings, dead_letter_topic(topic(case), GROUP))


async def until_nothing_waits(settings: Settings, case: str) -> None:
    """An offset is committed after its letter was sent."""
    group = f"outerloop-{GROUP}"
    async with asyncio.timeout(60):
        while any((await kafka.backlog(settings, group, [topic(case)])).values()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


async def test_a_message_arrives_with_its_envelope(bus: Bus, desk: Desk) -> None:
    mode = ModeOpened(mode_id=RUN, agent="helpdesk", title="get_order fails", trace_ids=["a", "b"])
    for _ in range(2):
        await bus.publish(mode, because=(RUN,))

    def ours() -> list[Delivery]:
        return [d for d in desk.seen[MODES] if unpack(d, ModeOpened).mode_id == RUN]

    await until(lambda: len(ours()) == 2)
    first, second = ours()
    assert unpack(first, ModeOpened) == mode
    assert first.key == b"helpdesk"
    assert first.headers["ce_id"] == stable_id("outerloop.contracts.v1.ModeOpened", RUN)
    assert second.headers["ce_id"] == first.headers["ce_id"]
    assert first.headers["ce_source"] == f"outerloop/{GROUP}"


async def test_an_event_carries_its_place_in_the_trace_of_its_mode(bus: Bus, desk: Desk) -> None:
    mode = ModeOpened(mode_id=f"{RUN}-traced", agent="helpdesk")
    await bus.publish(mode, because=(RUN, "traced"))
    await until(lambda: any(unpack(d, ModeOpened) == mode for d in desk.seen[MODES]))
    (got,) = [d for d in desk.seen[MODES] if unpack(d, ModeOpened) == mode]
    assert got.headers["traceparent"] == str(root_of(mode.mode_id))


async def test_a_header_that_is_not_text_costs_no_record(
    bus: Bus, desk: Desk, producer: AIOKafkaProducer
) -> None:
    headers = [("name", b"\xff\xfe"), ("other", b"plain")]
    await producer.send_and_wait(topic("header"), b"value", headers=headers)
    await until(lambda: bool(desk.seen[topic("header")]))
    (got,) = desk.seen[topic("header")]
    assert got.value == b"value"
    assert got.headers == {"name": r"\xff\xfe", "other": "plain"}


async def test_a_tombstone_is_told_from_an_empty_value(
    bus: Bus, desk: Desk, producer: AIOKafkaProducer
) -> None:
    await producer.send_and_wait(topic("tombstone"), None, key=b"gone")
    await producer.send_and_wait(topic("tombstone"), b"", key=b"empty")
    await until(lambda: len(desk.seen[topic("tombstone")]) == 2)
    assert [(d.key, d.value) for d in desk.seen[topic("tombstone")]] == [(b"gone", None), (b"empty", b"")]


async def test_a_record_of_5_mb_passes(bus: Bus, desk: Desk) -> None:
    value = bytes(range(256)) * (5 * 1024 * 4)
    await bus.send(topic("large"), value, None, {})
    await until(lambda: bool(desk.seen[topic("large")]))
    assert desk.seen[topic("large")][0].value == value


async def test_a_bug_is_retried_dead_lettered_and_passed_by(
    bus: Bus, desk: Desk, producer: AIOKafkaProducer, settings: Settings
) -> None:
    attempts: list[float] = []

    async def fail(record: Delivery) -> None:
        if record.value == b"\x00bad\xff":
            attempts.append(asyncio.get_running_loop().time())
            raise KeyError("no such field")

    desk.does[topic("bug")] = fail
    headers = [("ce_id", b"id-1"), ("name", b"\xff")]
    await producer.send_and_wait(topic("bug"), b"\x00bad\xff", key=b"\x01key", headers=headers)
    await producer.send_and_wait(topic("bug"), b"good")
    await until(lambda: desk.seen[topic("bug")][-1:] != [] and desk.seen[topic("bug")][-1].value == b"good")
    made = len(attempts)
    # One more where both records came as one batch, which is handled whole at first.
    assert made in {1 + RETRIES, 2 + RETRIES}
    assert attempts[-1] - attempts[-2] >= 0.4
    assert attempts[-2] - attempts[-3] >= 0.2
    (letter,) = await letters(settings, "bug")
    assert (letter.key, letter.value) == (b"\x01key", b"\x00bad\xff")
    said = {name: value.decode() for name, value in letter.headers}
    assert (
        said.items()
        >= {
            "ce_id": "id-1",
            "name": r"\xff",
            "ol-dlq-topic": topic("bug"),
            "ol-dlq-partition": "0",
            "ol-dlq-offset": "0",
            "ol-dlq-group": GROUP,
            "ol-dlq-error-type": "KeyError",
            "ol-dlq-error": "'no such field'",
            "ol-dlq-attempts": str(1 + RETRIES),
        }.items()
    )
    assert 'raise KeyError("no such field")' in said["ol-dlq-stack"]
    await asyncio.sleep(2)
    assert len(attempts) == made  # it is not delivered again and again
    await until_nothing_waits(settings, "bug")


async def test_poison_is_dead_lettered_at_once(bus: Bus, desk: Desk, settings: Settings) -> None:
    async def refuse(record: Delivery) -> None:
        if record.value == b"bad":
            raise PoisonError("not OTLP")

    desk.does[topic("poison")] = refuse
    for value in (b"1", b"bad", b"2"):
        await bus.send(topic("poison"), value, None, {})
    await until(lambda: b"2" in [d.value for d in desk.seen[topic("poison")]])
    (letter,) = await letters(settings, "poison")
    assert dict(letter.headers)["ol-dlq-attempts"] == b"1"
    assert dict(letter.headers)["ol-dlq-offset"] == b"1"


async def test_poison_with_nothing_after_it_is_dead_lettered_too(
    bus: Bus, desk: Desk, settings: Settings
) -> None:
    async def refuse(_: Delivery) -> None:
        raise PoisonError("not OTLP")

    desk.does[topic("alone")] = refuse
    await bus.send(topic("alone"), b"bad", None, {})
    async with asyncio.timeout(60):
        while not await letters(settings, "alone"):  # noqa: ASYNC110 - it happens in the broker
            await asyncio.sleep(0.05)
    await until_nothing_waits(settings, "alone")


async def test_a_letter_that_is_too_large_loses_the_tail_of_its_value(
    bus: Bus, desk: Desk, settings: Settings
) -> None:
    async def refuse(_: Delivery) -> None:
        raise PoisonError("x" * 2000)

    desk.does[topic("huge")] = refuse
    value = bytes(range(256)) * (MAX_RECORD_BYTES // 256 - 4)  # with headers of its own it would not fit
    await bus.send(topic("huge"), value, None, {})
    async with asyncio.timeout(60):
        while not (found := await letters(settings, "huge")):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
    assert found[0].value == value[: len(value) // 2]
    assert dict(found[0].headers)["ol-dlq-truncated"] == str(len(value)).encode()


async def test_what_kafka_never_takes_is_no_outage(bus: Bus) -> None:
    with pytest.raises(TooLargeError):
        await bus.send(topic("large"), bytes(MAX_RECORD_BYTES + 1), None, {})


async def test_a_missing_topic_is_waited_for_and_never_made(bus: Bus, settings: Settings) -> None:
    missing = topic("missing")
    says = rf"topic {missing}.* is missing: run `outerloop topics --create`"
    with pytest.raises(OutageError, match=says):
        await bus.send(missing, b"1", None, {})
    other = Bus(settings, f"{GROUP}-missing")
    other.subscribe([missing], Desk().handle, at_most=1)
    with pytest.raises(OutageError, match=says):
        await other.__aenter__()
    async with kafka.connected(settings, kafka.producer(settings)) as producer:
        with pytest.raises(UserError, match=says):
            await producer.send_and_wait(missing, b"1")
    assert await kafka.partitions_of(settings, [missing]) == {}


@pytest.mark.parametrize("at_most", [1, 20])
async def test_a_flood_stops_the_service_with_nothing_dead_lettered_or_committed(
    settings: Settings, at_most: int
) -> None:
    name, group = f"{topic('flood')}{at_most}", f"{GROUP}-flood{at_most}"
    await kafka.create_topics(settings, {name: 1, dead_letter_topic(name, group): 1}, 1)

    async def refuse(_: Sequence[Delivery]) -> None:
        raise PoisonError("another schema")

    one = Bus(settings, group)
    one.subscribe([name], refuse, at_most=at_most)
    async with kafka.connected(settings, kafka.producer(settings)) as producer:
        await asyncio.gather(*[await producer.send(name, b"x") for _ in range(60)])
    async with one:
        with pytest.raises(DeadLetterFloodError, match="50 of the last 50"):
            await asyncio.wait_for(one.failed, 60)
    assert await kafka.records(settings, dead_letter_topic(name, group)) == []
    assert await kafka.backlog(settings, f"outerloop-{group}", [name]) == {name: 60}


async def test_an_outage_is_waited_for_where_it_can_be_seen(bus: Bus, desk: Desk, settings: Settings) -> None:
    over = asyncio.Event()

    async def depend(_: Delivery) -> None:
        if not over.is_set():
            raise OutageError("ClickHouse is away")

    desk.does[topic("outage")] = depend
    await bus.send(topic("outage"), b"1", None, {})
    await until(lambda: bus.waiting_for == "ClickHouse is away")
    await asyncio.sleep(1)
    assert await kafka.backlog(settings, f"outerloop-{GROUP}", [topic("outage")]) == {topic("outage"): 1}
    tries = len(desk.seen[topic("outage")])
    assert 2 <= tries <= 5
    over.set()
    await until(lambda: not bus.waiting_for)
    assert await letters(settings, "outage") == []


async def test_what_was_not_committed_comes_again(settings: Settings) -> None:
    name, group = topic("plain"), f"{GROUP}-again"
    await kafka.create_topics(settings, {dead_letter_topic(name, group): 1}, 1)
    reached, cleaned, seen = asyncio.Event(), asyncio.Event(), list[bytes | None]()

    async def stop_in_the_middle(batch: Sequence[Delivery]) -> None:
        seen.extend(record.value for record in batch)
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)  # as removing a temporary directory in a thread
            cleaned.set()

    async def handle(batch: Sequence[Delivery]) -> None:
        seen.extend(record.value for record in batch)

    first = Bus(settings, group)
    first.subscribe([name], stop_in_the_middle, at_most=10)
    async with first:
        await first.send(name, b"once", None, {})
        await asyncio.wait_for(reached.wait(), 60)
        began = time.monotonic()
    assert time.monotonic() - began < STOP_SECONDS
    assert cleaned.is_set()
    assert await kafka.backlog(settings, f"outerloop-{group}", [name]) == {name: 1}
    second = Bus(settings, group)
    second.subscribe([name], handle, at_most=10)
    async with second:
        await until(lambda: len(seen) == 2)
    assert seen == [b"once", b"once"]


# FastStream lets go of the producer whose start failed; it holds no connection.
@pytest.mark.filterwarnings("ignore:.*AIOKafkaProducer.__del__")
async def test_a_broker_that_is_away_is_an_outage() -> None:
    away = Settings(kafka="127.0.0.1:1", kafka_idempotent_producer=False)
    with pytest.raises(OutageError, match=r"Kafka at 127\.0\.0\.1:1 does not answer \(OUTERLOOP_KAFKA\)"):
        await Bus(away, "nobody").__aenter__()
