"""Kafka, as every service sees it: publish a message of the contracts, subscribe to topics.

FastStream carries the records; retries, dead letters and commits are ours (see delivery.py), because its
own policies either lose a failed message or redeliver it in a hot loop.
"""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    AuthenticationFailedError,
    BrokerNotAvailableError,
    ClusterAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    ReplicaNotAvailableError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import murmur2
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from google.protobuf.message import Message

from outerloop.runtime.delivery import Deliverer, Handler, Limits
from outerloop.runtime.envelope import Delivery, headers_for, key_of, stable_id
from outerloop.runtime.errors import OutageError, PoisonError
from outerloop.runtime.lag import Lag
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topic_of
from outerloop.runtime.tracing import Tracing

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 16 * 1024 * 1024
# A handler may wait out an outage, or gate for hours; liveness is watched otherwise (/healthz, service.py).
MAX_POLL_INTERVAL_MS = 24 * 3600 * 1000
# For a handler to clean up once it is cancelled: well below what supervisors give a process, 10 s and more.
STOP_SECONDS = 5.0
_HEARD_AT_ONCE = 500
_LAG_SECONDS = 5.0  # between two looks
# How long a broker may keep a fetch that finds nothing. Kafka answers as soon as there is something; the
# embedded broker only looks every quarter of it, so that a record is as much later.
FETCH_WAIT_MS = 500
# For the first answer about each partition, which comes after half a second where there is nothing to read.
_FETCH_SECONDS = 5.0
# Outages that aiokafka does not call retriable. Rights are among them: a person grants those, while nothing
# is wrong with the record.
_AWAY = (
    AuthenticationFailedError,
    BrokerNotAvailableError,
    ClusterAuthorizationFailedError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    ReplicaNotAvailableError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)


class TooLargeError(PoisonError):
    """A record that is larger than Kafka takes."""


class Bus:
    """One service's connection to Kafka. `group` is the consumer group and the event source."""

    def __init__(self, settings: Settings, group: str) -> None:
        self.group = group
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._tracing = Tracing(settings.otlp_endpoint, group)
        self._deliverers: list[Deliverer] = []
        self._needed: set[str] = set()
        self._there: set[str] = set()
        self._subscribers: list[Any] = []  # FastStream does not export their class
        self._lags: list[Lag] = []  # of each
        log.addFilter(_not_advice)
        self._broker = KafkaBroker(
            settings.kafka,
            client_id=f"outerloop-{group}",
            acks="all",
            enable_idempotence=settings.kafka_idempotent_producer,
            max_request_size=MAX_RECORD_BYTES,
            max_batch_size=1024 * 1024,
            compression_type="zstd",
            allow_auto_create_topics=False,
            graceful_timeout=None,  # __aexit__ has ended what was running
            logger=log,
            log_level=logging.DEBUG,
            **settings.kafka_broker_options(),
        )

    async def __aenter__(self) -> Self:
        try:
            await self._broker.connect()
            await self._require(self._needed)
            await self._broker.start()
        except (KafkaError, OSError, OutageError) as error:
            with contextlib.suppress(KafkaError, OSError):  # what was half started holds connections
                await self._broker.stop()
            if isinstance(error, OutageError):
                raise
            raise OutageError(
                f"Kafka at {self._settings.kafka} does not answer (OUTERLOOP_KAFKA): {error}"
            ) from error
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Cancel what is being handled, which can be done again, and close the connections."""
        working = [task for subscriber in self._subscribers for task in subscriber.tasks]
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working, timeout=STOP_SECONDS)
        await self._broker.stop()
        await self._tracing.close()

    @property
    def waiting_for(self) -> str:
        """The outage that a handler waits for, "" when all is well."""
        return next((d.waiting_for for d in self._deliverers if d.waiting_for), "")

    def subscribe(
        self,
        topics: Sequence[str],
        handle: Handler,
        *,
        at_most: int,
        group: str = "",
        wait_ms: int = FETCH_WAIT_MS,
    ) -> None:
        """Have up to `at_most` records at a time of these topics handled, in order, by one consumer.

        `group` is for work whose consumers come and go more often than the service's: when they do, only
        what is of their group changes hands. `wait_ms` below FETCH_WAIT_MS is for what somebody waits for.
        """
        deliverer = Deliverer(
            self.group,
            self._tracing.handling(handle),
            self._dead_letter,
            Limits(retries=self._settings.retries),
        )
        self._deliverers.append(deliverer)
        self._needed |= {*topics, *(dead_letter_topic(topic, self.group) for topic in topics)}
        instance = self._settings.kafka_instance
        lag = Lag(group or self.group)
        subscriber = self._broker.subscriber(
            *topics,
            group_id=f"outerloop-{group or self.group}",
            group_instance_id=f"{instance}-{len(self._deliverers)}" if instance else None,
            # Topics have as many partitions each: all events of one agent come to one replica.
            partition_assignment_strategy=[RangePartitionAssignor],
            batch=True,
            max_records=at_most,
            batch_timeout_ms=100,
            fetch_max_wait_ms=wait_ms,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            session_timeout_ms=self._settings.kafka_session_timeout_ms,
            heartbeat_interval_ms=max(300, self._settings.kafka_session_timeout_ms // 4),
            parser=_parse,
            decoder=_decode,
        )

        async def consume(message: KafkaMessage) -> None:
            records = (
                message.raw_message if isinstance(message.raw_message, tuple) else (message.raw_message,)
            )
            try:
                await deliverer.deliver([_delivery(r) for r in records])
                if deliverer.run and await _more_waits(subscriber.consumer):
                    return  # without a commit: this may be the beginning of a flood
                await deliverer.release()
            except Exception as error:  # noqa: BLE001 - whatever it is, the service must stop without a commit
                if not self.failed.done():
                    self.failed.set_exception(error)
                await asyncio.Event().wait()  # take nothing more: the service is being stopped
            await message.ack()
            lag.handled(records)

        subscriber(consume)
        self._subscribers.append(subscriber)
        self._lags.append(lag)

    def listen(
        self,
        topics: Sequence[str],
        hear: Callable[[Delivery], None],
        *,
        wait_ms: int = FETCH_WAIT_MS,
        from_start: bool = False,
    ) -> "Listening":
        """Hear every record of these topics that comes from now on, whoever else handles it.

        Nothing is committed, tried again or dead-lettered: for news that one finds out otherwise in the end.
        With `from_start` all that the topics hold is heard first: for a small topic that is itself the state.
        """
        self._needed |= set(topics)
        # Without a group: all partitions are ours, at once, and nothing changes hands.
        subscriber = self._broker.subscriber(
            *topics,
            batch=True,
            max_records=_HEARD_AT_ONCE,
            batch_timeout_ms=100,
            fetch_max_wait_ms=wait_ms,
            auto_offset_reset="earliest" if from_start else "latest",
            ack_policy=AckPolicy.MANUAL,
            parser=_parse,
            decoder=_decode,
        )
        listening = Listening(subscriber)

        async def consume(message: KafkaMessage) -> None:
            for record in message.raw_message:
                delivery = _delivery(record)
                hear(delivery)
                listening.heard(delivery)

        subscriber(consume)
        return listening

    async def watch_lag(self) -> None:
        """Keep the gauges of lag up to date, for as long as the service lives."""
        while True:
            for subscriber, lag in zip(self._subscribers, self._lags, strict=True):
                with contextlib.suppress(KafkaError):  # partitions change hands
                    await lag.observe(subscriber.consumer)
            await asyncio.sleep(_LAG_SECONDS)

    def holds(self, topic: str, key: str) -> bool:
        """Whether records of `topic` with this key come to this process: the partition is assigned to it.

        For work that no record announces, so that of several replicas one does it. False in a rebalance.
        """
        for subscriber in self._subscribers:
            consumer = subscriber.consumer
            partitions = consumer.partitions_for_topic(topic) if consumer else None
            if consumer and partitions:
                number = (murmur2(key.encode()) & 0x7FFFFFFF) % len(partitions)  # as the producer places it
                # A consumer knows topics of others too, when it is the one that assigns them.
                if TopicPartition(topic, number) in consumer.assignment():
                    return True
        return False

    async def publish(
        self, message: Message, *, because: Sequence[object], cause: Delivery | None = None
    ) -> None:
        """Send a message on its own topic; returns when Kafka has acknowledged it.

        `because` names what caused it: the same cause gives the same event id, so repeats are recognised.

        Raises:
            OutageError: when Kafka does not take it now.
            TooLargeError: when it never will.
        """
        event_id = stable_id(message.DESCRIPTOR.full_name, *because)
        topic = topic_of(message).name
        with self._tracing.sending(message, topic, cause) as context:
            headers = headers_for(message, event_id=event_id, source=self.group, context=context)
            await self.send(topic, message.SerializeToString(), key_of(message), headers)

    async def send(self, topic: str, value: bytes | None, key: bytes | None, headers: dict[str, str]) -> None:
        """Send raw bytes to a topic; returns when Kafka has acknowledged them.

        Raises:
            OutageError: when Kafka does not take them now.
            TooLargeError: when it never will.
        """
        try:
            await self._require({topic})
            await self._broker.publish(value, topic=topic, key=key, headers=headers)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise TooLargeError(f"{len(value or b'')} bytes are too many for {topic}: {error}") from error
        except (KafkaError, OSError) as error:
            if isinstance(error, KafkaError) and not (error.retriable or isinstance(error, _AWAY)):
                raise
            raise OutageError(f"Kafka did not take a record for {topic}: {error!r}") from error

    async def set_aside(self, record: Delivery, error: Exception) -> None:
        """Dead-letter a part of a record, which is its `value` here, while the rest is handled.

        It is no failure of the record: no flood of these stops the service.
        """
        await self._dead_letter(record, error, 1)

    async def _require(self, topics: Collection[str]) -> None:
        # A broker may make a topic as soon as a client names it, with one partition for good.
        if not self._there.issuperset(topics):
            self._there = set(await self._broker.config.admin_client.list_topics())
        if missing := sorted(set(topics) - self._there):
            raise OutageError(
                f"topic {', '.join(missing)} is missing: run `outerloop topics --create`"
                " (or Kafka's ACLs hide it: this user must be allowed to describe it)"
            )

    async def _dead_letter(self, record: Delivery, error: Exception, attempts: int) -> None:
        headers = {
            **record.headers,
            "ol-dlq-topic": record.topic,
            "ol-dlq-partition": str(record.partition),
            "ol-dlq-offset": str(record.offset),
            "ol-dlq-group": self.group,
            "ol-dlq-error-type": type(error).__name__,
            "ol-dlq-error": str(error)[:2000],
            "ol-dlq-stack": "".join(traceback.format_exception(error))[-8000:],
            "ol-dlq-attempts": str(attempts),
        }
        topic = dead_letter_topic(record.topic, self.group)
        for value, said in _ever_shorter(record.value, headers):
            with contextlib.suppress(TooLargeError):
                return await self._insist(topic, value, record.key, said)
        raise TooLargeError(f"not even the headers of {record} fit into {topic}")

    async def _insist(self, topic: str, value: bytes | None, key: bytes | None, said: dict[str, str]) -> None:
        while True:  # a dead letter must not be lost to an outage either
            try:
                return await self.send(topic, value, key, said)
            except OutageError as outage:
                log.warning("a dead letter waits: %s", outage)
                await asyncio.sleep(1)


class Listening:
    """How far a listener has come."""

    def __init__(self, subscriber: Any) -> None:
        self._subscriber = subscriber
        self._next: dict[tuple[str, int], int] = {}
        self._all = False

    def heard(self, delivery: Delivery) -> None:
        """A record was heard."""
        self._next[delivery.topic, delivery.partition] = delivery.offset + 1

    async def caught_up(self) -> None:
        """Wait until all is heard that was there when this was first asked; at once ever after.

        Raises:
            OutageError: when Kafka does not say how much there is.
        """
        if self._all:
            return
        # aiokafka has no event for it.
        while (consumer := self._subscriber.consumer) is None or not consumer.assignment():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        try:
            ends = await consumer.end_offsets(consumer.assignment())
        except KafkaError as error:
            raise OutageError(f"Kafka does not say what {self._subscriber} holds: {error!r}") from error
        while any(self._next.get((p.topic, p.partition), 0) < end for p, end in ends.items()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
        self._all = True


def _not_advice(line: logging.LogRecord) -> bool:
    # FastStream's advice at each start, to make sure that topics exist; `_require` does.
    return not str(line.msg).startswith("Auto create topics is disabled")


async def _more_waits(consumer: Any) -> bool:
    """Whether there are records that Kafka has told this consumer of and that it has not handed out."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FETCH_SECONDS):
            # aiokafka has no event for it.
            while any(consumer.highwater(p) is None for p in consumer.assignment()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    try:
        return any([await consumer.position(p) < (consumer.highwater(p) or 0) for p in consumer.assignment()])
    except IllegalStateError:  # partitions change hands: what is not committed comes again
        return True


def _ever_shorter(
    value: bytes | None, headers: dict[str, str]
) -> Iterator[tuple[bytes | None, dict[str, str]]]:
    """Forms of a letter: whole, with half of its value, and so on; at last nothing but what went wrong."""
    yield value, headers
    cut = {"ol-dlq-truncated": str(len(value or b""))}  # bytes that it had
    length = len(value or b"") // 2
    while length:
        yield (value or b"")[:length], headers | cut
        length //= 2
    yield None, {name: text for name, text in headers.items() if name.startswith("ol-dlq-")} | cut


async def _parse(message: Any, original: Any) -> Any:
    # FastStream decodes header bytes, and drops a record whose headers are not UTF-8 without a word.
    return await original(tuple(replace(r, headers=_utf8(r.headers)) for r in message))


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message


def _utf8(headers: Sequence[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    return tuple((k, (v or b"").decode("utf-8", "backslashreplace").encode()) for k, v in headers)


def _delivery(record: ConsumerRecord[Any, Any]) -> Delivery:
    headers = {k: v.decode() for k, v in record.headers}
    return Delivery(record.topic, record.partition, record.offset, record.key, record.value, headers)
