"""Events: what the gate has said on Kafka over a whole life, read from the beginning."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer

from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.runtime.topics import topic_of

_WAIT_MS = 500


async def verdicts(bootstrap: str) -> Mapping[str, set[tuple[str, int]]]:
    """By change: every (event id, verdict) that was published. Repeats of one event are one."""
    consumer = AIOKafkaConsumer(
        topic_of(DecisionReached).name,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: dict[str, set[tuple[str, int]]] = {}
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=_WAIT_MS)).values():
                for record in batch:
                    decision = DecisionReached.FromString(record.value or b"")
                    event = dict(record.headers)["ce_id"].decode()
                    found.setdefault(decision.change_id, set()).add((event, decision.verdict))
        return found
    finally:
        await consumer.stop()
