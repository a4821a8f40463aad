"""Lag, from what a consumer knows; the consumer here is a few numbers."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from outerloop.runtime.lag import Lag


class Consumer:
    """Partition -> (position, high watermark)."""

    def __init__(self, at: dict[TopicPartition, tuple[int, int | None]]) -> None:
        self.at = at

    def assignment(self) -> set[TopicPartition]:
        return set(self.at)

    def subscription(self) -> set[str]:
        return {"t", "idle"}

    def highwater(self, partition: TopicPartition) -> int | None:
        return self.at[partition][1]

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition][0]


def shown(name: str, topic: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"group": "g", "topic": topic})


async def test_lag_is_what_is_left_and_how_old_it_may_be() -> None:
    lag = Lag("g", now=lambda: 1000.0)
    one, two, three = (TopicPartition("t", number) for number in range(3))
    records: Any = [
        SimpleNamespace(topic="t", partition=0, timestamp=970_000),
        SimpleNamespace(topic="t", partition=1, timestamp=990_000),
    ]
    lag.handled(records)
    consumer: Any = Consumer({one: (5, 8), two: (7, 7), three: (0, None)})
    await lag.observe(consumer)
    assert (shown("outerloop_lag_records", "t"), shown("outerloop_lag_seconds", "t")) == (3, 30)
    assert (shown("outerloop_lag_records", "idle"), shown("outerloop_lag_seconds", "idle")) == (0, 0)
    consumer.at[one] = (8, 8)
    await lag.observe(consumer)
    assert (shown("outerloop_lag_records", "t"), shown("outerloop_lag_seconds", "t")) == (0, 0)
