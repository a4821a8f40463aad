"""What outerloop asks of a Kafka, over aiokafka: one suite for the embedded broker and for the real one.

A gap of the embedded broker is a strict xfail, so that the day it is closed is noticed.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from engines.embedded import Tansu
from engines.kafka import ApacheKafka, missing

pytestmark = pytest.mark.asyncio(loop_scope="module")

REAL = ["apache_kafka", "docker_kafka"]
MEBIBYTE = 1 << 20
_numbers = itertools.count()


def lacks(engine: Any, reason: str, raises: type[Exception] | tuple[type[Exception], ...]) -> Any:
    return pytest.param(engine, marks=pytest.mark.xfail(strict=True, reason=reason, raises=raises))


def on(*engines: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("broker", engines, indirect=True, scope="module")


everywhere = on("tansu", *REAL)


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker)
    await client.start()
    yield client
    await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def producer(broker: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_request_size=8 * MEBIBYTE) as one:
        yield one


async def new_topic(admin: AIOKafkaAdminClient, partitions: int = 1, **configs: str) -> str:
    name = f"outerloop.conformance.case{next(_numbers)}.{uuid.uuid4().hex[:8]}"
    named = {key.replace("_", "."): value for key, value in configs.items()}
    assert await create(admin, NewTopic(name, partitions, 1, topic_configs=named)) == 0
    return name


async def create(admin: AIOKafkaAdminClient, topic: NewTopic) -> int:
    """Kafka's error code, 0 for success: aiokafka does not raise it."""
    ((_name, code, *_),) = (await admin.create_topics([topic])).topic_errors
    return int(code)


async def read_all(broker: str, topic: str, **options: Any) -> list[ConsumerRecord]:
    """All records up to the end as it is now, read without a group, whose first join is slow on Tansu."""
    options |= {"bootstrap_servers": broker, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(topic, **options) as consumer:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records += batch
        return records


@asynccontextmanager
async def started(producer: AIOKafkaProducer) -> AsyncIterator[AIOKafkaProducer]:
    """As `async with producer`, which leaves its connections open if the start fails."""
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def member(broker: str, topic: str, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
        session_timeout_ms=6000,
    )
    async with consumer:
        yield consumer


@everywhere
async def test_topics_are_created_once_described_and_deleted(admin: AIOKafkaAdminClient) -> None:
    name = await new_topic(admin, 3)
    (found,) = await admin.describe_topics([name])
    assert found["error_code"] == 0
    assert len(found["partitions"]) == 3
    assert await create(admin, NewTopic(name, 3, 1)) == TopicAlreadyExistsError.errno
    await admin.delete_topics([name])
    async with asyncio.timeout(60):  # Kafka answers before the metadata has caught up
        while name in await admin.list_topics():  # noqa: ASYNC110 - it happens in the broker
            await asyncio.sleep(0.05)


@everywhere
async def test_a_record_keeps_its_key_value_headers_and_time(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin)
    headers = [("ce_id", b"1"), ("traceparent", b"00-ab-cd-01"), ("ce_id", b"again"), ("empty", b"")]
    await producer.send_and_wait(topic, b"\x00value\xff", key=b"\x00key", headers=headers, timestamp_ms=1234)
    await producer.send_and_wait(topic, None, key=b"gone")
    record, tombstone = await read_all(broker, topic)
    assert (record.key, record.value, record.timestamp) == (b"\x00key", b"\x00value\xff", 1234)
    assert list(record.headers) == headers
    assert (tombstone.key, tombstone.value) == (b"gone", None)


@everywhere
async def test_order_holds_within_a_key(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin, 4)
    sent = [(f"agent-{number % 7}".encode(), str(number).encode()) for number in range(700)]
    await asyncio.gather(*[await producer.send(topic, value, key=key) for key, value in sent])
    records = await read_all(broker, topic)
    assert len({record.partition for record in records}) > 1
    for agent in {key for key, _ in sent}:
        got = [(record.partition, record.value) for record in records if record.key == agent]
        assert len({partition for partition, _ in got}) == 1
        assert [value for _, value in got] == [value for key, value in sent if key == agent]


@everywhere
async def test_a_group_goes_on_after_its_commit(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin)
    for number in range(6):
        await producer.send_and_wait(topic, str(number).encode())
    async with member(broker, topic, f"{topic}.reader") as consumer:
        assert [(await consumer.getone()).value for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        await consumer.commit({TopicPartition(topic, 0): 3})  # the fourth was read, and not finished
    async with member(broker, topic, f"{topic}.reader") as consumer:
        assert [(await consumer.getone()).value for _ in range(3)] == [b"3", b"4", b"5"]
        assert await consumer.committed(TopicPartition(topic, 0)) == 3


@everywhere
async def test_members_that_come_and_go_lose_nothing(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin, 4)
    seen, shared, numbers = set[bytes](), asyncio.Event(), itertools.count()

    async def produce(count: int) -> None:
        for number in itertools.islice(numbers, count):
            await producer.send_and_wait(topic, str(number).encode(), partition=number % 4)

    async def consume(consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=100)
            seen.update(record.value for batch in batches.values() for record in batch if record.value)
            if len(consumer.assignment()) == 2:
                shared.set()
            if batches:
                try:
                    await consumer.commit()
                except KafkaError:  # a rebalance came in between: these are read again
                    continue

    async def until_seen(count: int) -> None:
        while len(seen) < count:  # noqa: ASYNC110 - two consumers fill it, and a set has no event
            await asyncio.sleep(0.05)

    async with asyncio.timeout(40), member(broker, topic, f"{topic}.readers") as stays:
        first = asyncio.create_task(consume(stays))
        await produce(40)
        await until_seen(40)
        async with member(broker, topic, f"{topic}.readers") as leaves:
            second = asyncio.create_task(consume(leaves))
            await shared.wait()
            await produce(40)
            await until_seen(80)
            second.cancel()
        await produce(40)
        await until_seen(120)
        first.cancel()
    assert seen == {str(number).encode() for number in range(120)}


@everywhere
async def test_a_message_of_5_mb_passes(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin, max_message_bytes=str(8 * MEBIBYTE))
    value = bytes(range(256)) * (5 * MEBIBYTE // 256)
    await producer.send_and_wait(topic, value)
    (record,) = await read_all(broker, topic, max_partition_fetch_bytes=8 * MEBIBYTE)
    assert record.value == value


@everywhere
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_passes(broker: str, admin: AIOKafkaAdminClient, codec: str) -> None:
    topic = await new_topic(admin)
    async with AIOKafkaProducer(bootstrap_servers=broker, compression_type=codec, linger_ms=20) as producer:
        await asyncio.gather(*[await producer.send(topic, b"span " * 200) for _ in range(20)])
    assert [record.value for record in await read_all(broker, topic)] == [b"span " * 200] * 20


@everywhere
async def test_a_reader_starts_anywhere(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin)
    for number in range(3):
        await producer.send_and_wait(topic, str(number).encode())
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=broker) as consumer:
        consumer.assign([partition])
        assert await consumer.beginning_offsets([partition]) == {partition: 0}
        assert await consumer.end_offsets([partition]) == {partition: 3}
        consumer.seek(partition, 2)
        assert (await consumer.getone()).value == b"2"


@on(lacks("tansu", "Tansu 0.6 counts the last batch of a partition as one record", AssertionError), *REAL)
async def test_the_end_of_a_partition_counts_every_record_of_a_batch(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin)
    batch = producer.create_batch()
    for number in range(3):
        batch.append(key=None, value=str(number).encode(), timestamp=None)
    await (await producer.send_batch(batch, topic, partition=0))
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=broker) as consumer:
        assert await consumer.end_offsets([partition]) == {partition: 3}


@on(lacks("tansu", "Tansu 0.6 answers ListOffsets by time with the first offset", AssertionError), *REAL)
async def test_an_offset_is_found_by_time(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(admin)
    for at in (1000, 2000, 3000):
        await producer.send_and_wait(topic, b"", timestamp_ms=at)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(topic, bootstrap_servers=broker) as consumer:
        found = (await consumer.offsets_for_times({partition: 1500}))[partition]
    assert (found.offset, found.timestamp) == (1, 2000)


@everywhere
async def test_a_dead_letter_topic_is_named_after_topic_and_group(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    name = f"{await new_topic(admin)}.triage.dlq"
    assert await create(admin, NewTopic(name, 1, 1)) == 0
    await producer.send_and_wait(name, b"poison", headers=[("ol-dlq-error", "DecodeError: ä".encode())])
    (record,) = await read_all(broker, name)
    assert dict(record.headers)["ol-dlq-error"].decode() == "DecodeError: ä"


@on(lacks("tansu", "Tansu 0.6 refuses InitProducerId v0, all that aiokafka speaks", KafkaError), *REAL)
async def test_an_idempotent_producer(broker: str, admin: AIOKafkaAdminClient) -> None:
    topic = await new_topic(admin)
    async with started(AIOKafkaProducer(bootstrap_servers=broker, enable_idempotence=True)) as producer:
        await asyncio.gather(*[await producer.send(topic, str(n).encode()) for n in range(50)])
    assert [record.value for record in await read_all(broker, topic)] == [str(n).encode() for n in range(50)]


@on(lacks("tansu", "Tansu 0.6 has no transactions for aiokafka", KafkaError), *REAL)
async def test_only_committed_transactions_are_read(broker: str, admin: AIOKafkaAdminClient) -> None:
    topic = await new_topic(admin)
    async with started(AIOKafkaProducer(bootstrap_servers=broker, transactional_id=topic)) as producer:
        for value, end in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, value)
            await end()
    committed = await read_all(broker, topic, isolation_level="read_committed")
    assert [record.value for record in committed] == [b"kept"]


@on(lacks("tansu", "Tansu's memory engine does not compact", TimeoutError), *REAL)
async def test_a_compacted_topic_keeps_the_last_of_each_key(
    broker: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
) -> None:
    soon = {"segment_ms": "100", "min_cleanable_dirty_ratio": "0.001", "max_compaction_lag_ms": "100"}
    topic = await new_topic(admin, 1, cleanup_policy="compact", **soon)
    for number in range(20):
        await producer.send_and_wait(topic, str(number).encode(), key=b"mode-1")
    # No asyncio.timeout: a consumer that is being closed swallows the one cancellation that it sends.
    until = time.monotonic() + 30
    while [r.value for r in await read_all(broker, topic) if r.key == b"mode-1"] != [b"19"]:
        if time.monotonic() > until:
            raise TimeoutError
        # What is in the segment being written is never compacted away, so write on.
        await producer.send_and_wait(topic, b"", key=b"other")
        await asyncio.sleep(0.2)


@on(lacks("tansu", "Tansu 0.6 has no AlterConfigs", KafkaError), *REAL)
async def test_a_topics_configuration_can_be_altered(admin: AIOKafkaAdminClient) -> None:
    topic = await new_topic(admin, retention_ms="60000")

    async def retention() -> str | None:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        (resource,) = answer.resources
        return {entry[0]: str(entry[1]) for entry in resource[4]}.get("retention.ms")

    async def becomes(milliseconds: str) -> None:  # Kafka answers before all of it has heard
        async with asyncio.timeout(60):
            while await retention() != milliseconds:  # noqa: ASYNC110 - it happens in the broker
                await asyncio.sleep(0.05)

    await becomes("60000")
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "120000"})])
    await becomes("120000")


@on(lacks("tansu", "Tansu 0.6 has no CreatePartitions", KafkaError), *REAL)
async def test_partitions_can_be_added(admin: AIOKafkaAdminClient) -> None:
    topic = await new_topic(admin, 1)
    await admin.create_partitions({topic: NewPartitions(3)})
    async with asyncio.timeout(60):
        while len((await admin.describe_topics([topic]))[0]["partitions"]) != 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


@on(lacks("tansu", "Tansu 0.6 answers OffsetFetch of all partitions malformed", KafkaError), *REAL)
async def test_a_groups_offsets_can_be_listed_from_outside(broker: str, admin: AIOKafkaAdminClient) -> None:
    topic = await new_topic(admin)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=broker, group_id=topic, enable_auto_commit=False) as one:
        one.assign([partition])
        await one.commit({partition: 7})
    assert (await admin.list_consumer_group_offsets(topic))[partition].offset == 7


@pytest.fixture
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tansu | ApacheKafka]:
    """A broker of the test's own: the shared one must not lose what other tests wrote."""
    if request.param is ApacheKafka and (reason := missing()):
        pytest.skip(f"Apache Kafka cannot run here: {reason}")
    server = request.param(tmp_path)
    server.start()
    yield server
    server.kill()


own_broker = [lacks(Tansu, "Tansu keeps its log in memory", AssertionError), ApacheKafka]


@pytest.mark.parametrize("killable", own_broker, indirect=True)
async def test_what_was_acknowledged_survives_a_kill(killable: Tansu | ApacheKafka) -> None:
    broker = killable.bootstrap
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        await producer.send_and_wait("outerloop.kept.v1", b"acknowledged")
    killable.kill()
    killable.start()
    assert [record.value for record in await read_all(broker, "outerloop.kept.v1")] == [b"acknowledged"]
