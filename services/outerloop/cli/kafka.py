"""What commands ask of Kafka: topics, lag, records at the end of a topic."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from outerloop.runtime.bus import MAX_RECORD_BYTES
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.settings import Settings

_ANSWER_SECONDS = 30.0


@contextlib.asynccontextmanager
async def connected(settings: Settings, client: Any) -> AsyncIterator[Any]:
    """A started aiokafka client, stopped at the end.

    Raises:
        OutageError: when Kafka does not answer, at the start or later.
    """
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        with contextlib.suppress(Exception):  # a client that never started may not stop either
            await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        raise OutageError(
            f"Kafka at {settings.kafka} does not answer (OUTERLOOP_KAFKA); "
            f"`outerloop dev` starts a local one: {error}"
        ) from error
    try:
        yield client
    except (KafkaError, TimeoutError) as error:
        raise OutageError(f"Kafka at {settings.kafka} did not do as asked: {error!r}") from error
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


class _Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """Sends only to topics that exist: a broker makes a missing one on sight, with one partition for good."""

    async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        known = self.client.cluster.partitions_for_topic(topic)
        if not known and topic not in (await self.client.fetch_all_metadata()).topics():
            raise UserError(f"topic {topic} is missing: run `outerloop topics --create`")
        return await super().send(topic, *args, **kwargs)


def producer(settings: Settings) -> AIOKafkaProducer:
    """A producer for whole traces, which are large. To a topic that is missing it raises UserError."""
    return _Producer(
        **settings.kafka_client_options(),
        acks="all",
        compression_type="zstd",
        max_request_size=MAX_RECORD_BYTES,
        max_batch_size=1024 * 1024,
        linger_ms=5,
    )


async def create_topics(
    settings: Settings,
    partitions: Mapping[str, int],
    replicas: int,
    configs: Mapping[str, dict[str, str]] | None = None,
) -> list[str]:
    """Create the topics that are missing; names those it created. `configs`: Kafka's own, by topic."""
    admin = AIOKafkaAdminClient(**settings.kafka_client_options())
    async with connected(settings, admin):
        there = set(await admin.list_topics())
        missing = [
            NewTopic(name, count, replicas, topic_configs=(configs or {}).get(name))
            for name, count in partitions.items()
            if name not in there
        ]
        if not missing:
            return []
        answer = await admin.create_topics(missing)
        for topic, code, *message in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise OutageError(f"Kafka did not create {topic}: {error.__name__} {message}")
        return [topic.name for topic in missing]


async def partitions_of(settings: Settings, topics: Sequence[str] = ()) -> dict[str, list[TopicPartition]]:
    """The partitions of these topics (none named: of all); a topic that is not there is left out."""
    admin = AIOKafkaAdminClient(**settings.kafka_client_options())
    async with connected(settings, admin):
        there = await admin.list_topics()
        wanted = [t for t in there if not topics or t in topics]
        described = await admin.describe_topics(wanted) if wanted else []
    return {
        t["topic"]: [TopicPartition(t["topic"], p["partition"]) for p in t["partitions"]] for t in described
    }


async def backlog(settings: Settings, group: str, topics: Sequence[str]) -> dict[str, int]:
    """Records that a group has still to handle, by topic."""
    parts = await partitions_of(settings, topics)
    every = [partition for partitions in parts.values() for partition in partitions]
    if not every:  # to aiokafka an empty assignment is an error
        return {}
    consumer = _reader(settings, group_id=group)
    async with connected(settings, consumer):
        first = await consumer.beginning_offsets(every)
        done = {p: await consumer.committed(p) for p in every}
        last = await _ends(consumer, every)  # asked last, as a busy group commits meanwhile
    waiting = {p: last[p] - (first[p] if done[p] is None else done[p]) for p in every}
    return {topic: sum(waiting[p] for p in partitions) for topic, partitions in parts.items()}


async def records(settings: Settings, topic: str) -> list[Any]:
    """Every record that is in a topic now, as aiokafka's ConsumerRecord, by partition and offset."""
    partitions = (await partitions_of(settings, [topic])).get(topic, [])
    if not partitions:
        return []
    consumer = _reader(settings)
    found: list[Any] = []
    async with connected(settings, consumer):
        last = await _ends(consumer, partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(p) < last[p] for p in partitions]):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                found.extend(batch)
    return sorted(found, key=lambda r: (r.partition, r.offset))


def _reader(settings: Settings, group_id: str | None = None) -> AIOKafkaConsumer:
    # A short wait, as most fetches here are at the end of a partition, where a broker waits for more.
    return AIOKafkaConsumer(
        **settings.kafka_client_options(),
        group_id=group_id,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=10,
    )


async def _ends(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition; they are the consumer's assignment afterwards.

    ListOffsets alone will not do: Tansu 0.6 counts a partition's last batch as one record there, however
    many it holds. The high watermark that comes with a fetch is exact on every broker.
    """
    guess = await consumer.end_offsets(partitions)
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, guess[partition])
    async with asyncio.timeout(_ANSWER_SECONDS):
        while any(consumer.highwater(p) is None for p in partitions):
            await consumer.getmany(timeout_ms=20)
    return {p: consumer.highwater(p) for p in partitions}
