"""The life of a mode, from the other services' events."""

from datetime import UTC, datetime

from google.protobuf.message import Message

from outerloop.contracts.v1.change_pb2 import ChangeAbandoned, ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.eval_pb2 import EvalDrafted, EvalLinked, EvalUndraftable
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.topics import topic_of
from outerloop.store import modes
from outerloop.store.modes import State
from outerloop.triage.record import when_sent

# A message that moves a mode on -> the state that it brings (a decision only when it ships). A mode that was
# closed comes back by EvalReopened alone, which the gate sends when a recurrence is proven: failing traces
# count, and one by one they change nothing here.
_LIFE: dict[type[Message], State] = {
    EvalDrafted: State.DRAFTING,
    EvalLinked: State.DRAFTING,
    EvalUndraftable: State.PARKED,
    ChangeProposed: State.PROPOSED,
    ChangeAbandoned: State.PARKED,
    DecisionReached: State.CLOSED,
    EvalReopened: State.REGRESSED,
}
STEPS = {topic_of(kind).name: kind for kind in _LIFE}


async def step(db: ClickHouse, delivery: Delivery) -> None:
    """Record the step that a message of STEPS tells of."""
    kind = STEPS[delivery.topic]
    event = unpack(delivery, kind)
    if isinstance(event, DecisionReached) and event.verdict != VERDICT_SHIP:
        return
    # Every message in _LIFE has a mode_id; protobuf's classes share no base that says so.
    mode_id: str = getattr(event, "mode_id")  # noqa: B009
    cause = delivery.headers.get("ce_id") or str(delivery)
    detail = str(getattr(event, "reason", ""))
    at = _happened(event) or when_sent(delivery) or datetime.now(UTC)
    await modes.enter(db, mode_id, _LIFE[kind], cause, at=at, detail=detail)


def _happened(event: Message) -> datetime | None:
    """When an event happened, as it says itself; None when it does not."""
    for field in ("proposed_at", "decided_at", "reopened_at"):
        if field in event.DESCRIPTOR.fields_by_name and event.HasField(field):
            at: datetime = getattr(event, field).ToDatetime(UTC)
            return at
    return None
