"""A bus that only listens, and recorded runs with their verdicts: what tests of draft start from."""

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import samples
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.delivery import Handler
from outerloop.runtime.envelope import Delivery, stable_id
from outerloop.runtime.topics import topic_of
from outerloop.store import verdicts
from outerloop.store.verdicts import Verdict
from outerloop.trace.otlp import spans_of
from outerloop.triage.core.signals import signals_of
from rows import insert as insert_spans

NOW = datetime.now(UTC)


class Ear(Bus):
    """A bus that keeps what is published, with its event id."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Message]] = []
        self.held = True

    def subscribe(
        self, topics: Sequence[str], handle: Handler, *, at_most: int, group: str = "", wait_ms: int = 500
    ) -> None:
        """Nothing comes."""

    def holds(self, topic: str, key: str) -> bool:
        """As the test says."""
        return self.held

    async def publish(
        self, message: Message, *, because: Sequence[object], cause: Delivery | None = None
    ) -> None:
        """Keep it."""
        self.heard.append((stable_id(message.DESCRIPTOR.full_name, *because), message))

    @property
    def said(self) -> list[Message]:
        """What was published."""
        return [message for _, message in self.heard]


def delivery(message: Message, event: str) -> Delivery:
    """The message, as it comes from Kafka."""
    return Delivery(topic_of(message).name, 0, 0, b"", message.SerializeToString(), {"ce_id": event})


async def record_runs(
    db: ClickHouse, runs: Sequence[ExportTraceServiceRequest], mode: str = "", at: datetime = NOW
) -> None:
    """Store runs as failures of a mode, or ("") as healthy ones; their verdicts say that they began `at`."""
    for exported in runs:
        trace = samples.trace(exported)
        await insert_spans(db, spans_of(exported), NOW)
        signs = signals_of(trace, []) if mode else ()
        verdict = Verdict(trace.agent, "1", trace.trace_id, bool(mode), mode, "", signs, "x", at, NOW)
        await verdicts.insert(db, [verdict])
