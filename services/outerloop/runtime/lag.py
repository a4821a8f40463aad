"""Lag: how far a consumer group is behind, in records and in seconds, as each replica sees its own share."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from outerloop.runtime import metrics


class Lag:
    """The lag of one group; in seconds it is the age, at most, of the oldest record that is not handled."""

    def __init__(self, group: str, now: Callable[[], float] = time.time) -> None:
        self._group = group
        self._now = now
        self._handled: dict[TopicPartition, float] = {}  # when the last record that was handled was written

    def handled(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """These records are done."""
        for record in records:
            self._handled[TopicPartition(record.topic, record.partition)] = record.timestamp / 1000

    async def observe(self, consumer: AIOKafkaConsumer) -> None:
        """Set the gauges from what the consumer knows without asking Kafka."""
        behind: dict[str, int] = defaultdict(int)
        seconds: dict[str, float] = defaultdict(float)
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            waiting = max(0, end - await consumer.position(partition)) if end is not None else 0
            behind[partition.topic] += waiting
            if waiting and partition in self._handled:
                age = self._now() - self._handled[partition]
                seconds[partition.topic] = max(seconds[partition.topic], age)
        for topic in consumer.subscription() or ():
            metrics.LAG.labels(self._group, topic).set(behind[topic])
            metrics.LAG_SECONDS.labels(self._group, topic).set(max(0.0, seconds[topic]))
