"""The life of a mode, from the other services' events."""

from datetime import UTC, datetime

from google.protobuf.message import Message

from outerloop.contracts.v1.change_pb2 import ChangeAbandoned, ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.eval_pb2 import EvalDrafted, EvalLinked, EvalRetired, EvalUndraftable
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.topics import topic_of
from outerloop.store import evals, modes, releases
from outerloop.store.modes import State
from outerloop.triage.record import when_sent

# A message that moves a mode on -> the state that it brings (a decision only when it ships). A mode that was
# closed comes back by EvalReopened alone, which the gate sends when a recurrence is proven: failing traces
# count, and one by one they change nothing here. What is closed stays so when its eval is retired.
_LIFE: dict[type[Message], State] = {
    EvalDrafted: State.DRAFTING,
    EvalLinked: State.DRAFTING,
    EvalUndraftable: State.PARKED,
    EvalRetired: State.PARKED,
    ChangeProposed: State.PROPOSED,
    ChangeAbandoned: State.PARKED,
    DecisionReached: State.CLOSED,
    EvalReopened: State.REGRESSED,
}
_ANOTHER = "`outerloop modes open` has another one drafted"
_COMING = {evals.State.PROVING, evals.State.DRAFTED}
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
    state, detail = _LIFE[kind], str(getattr(event, "reason", ""))
    if isinstance(event, EvalRetired):
        if await _goes_on(db, event):
            return
        detail = f"{event.retired_by} retired its eval: {detail}; {_ANOTHER}"
    elif isinstance(event, EvalReopened) and await _is_retired(db, event.eval_id):
        state, detail = State.PARKED, f"{detail}, and its eval is retired; {_ANOTHER}"
    at = _happened(event) or when_sent(delivery) or datetime.now(UTC)
    await modes.enter(db, mode_id, state, cause, at=at, detail=detail)


async def _goes_on(db: ClickHouse, event: EvalRetired) -> bool:
    """Whether a mode without this eval is closed all the same, or has another eval that is in work."""
    step = (await modes.latest(db, [event.mode_id])).get(event.mode_id)
    if step is None or step.state in {State.CLOSED, State.MERGED}:
        return True
    shipped = (await releases.closed(db, event.agent)).get(event.eval_id)
    if shipped is not None and shipped >= step.at:  # that is heard after this, and closes it
        return True
    of_agent = await evals.of_agent(db, event.agent)
    return any(each.mode_id == event.mode_id and (each.gates or each.state in _COMING) for each in of_agent)


async def _is_retired(db: ClickHouse, eval_id: str) -> bool:
    record = await evals.get(db, eval_id)
    return record is not None and record.state is evals.State.RETIRED


def _happened(event: Message) -> datetime | None:
    """When an event happened, as it says itself; None when it does not."""
    for field in ("proposed_at", "decided_at", "reopened_at", "retired_at"):
        if field in event.DESCRIPTOR.fields_by_name and event.HasField(field):
            at: datetime = getattr(event, field).ToDatetime(UTC)
            return at
    return None
