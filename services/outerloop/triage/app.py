"""Wiring of triage: settled traces in, verdicts and modes out; and the life of a mode."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from google.protobuf.message import Message

from outerloop.contracts.v1.change_pb2 import ChangeAbandoned, ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.eval_pb2 import EvalDrafted, EvalUndraftable
from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened, Signal
from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, stable_id, unpack
from outerloop.runtime.errors import OutageError
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import evaluations, modes, spans, verdicts
from outerloop.store.modes import State
from outerloop.store.settlements import LOOK_BACK_DAYS
from outerloop.store.verdicts import Verdict
from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Trace
from outerloop.triage.core.grouping import Group, group_of
from outerloop.triage.core.signals import DETECTOR, signals_of
from outerloop.triage.settings import TriageSettings

log = logging.getLogger(__name__)

# A message that moves a mode on -> the state that it brings (a decision only when it ships).
LIFE: dict[type[Message], State] = {
    EvalDrafted: State.DRAFTING,
    EvalUndraftable: State.PARKED,
    ChangeProposed: State.PROPOSED,
    ChangeAbandoned: State.PARKED,
    DecisionReached: State.CLOSED,
    EvalReopened: State.REGRESSED,
}
SETTINGS = TriageSettings
CONSUMES = (topic_of(TraceSettled).name, *(topic_of(kind).name for kind in LIFE))
_EXAMPLES = 20
_Failure = tuple[Verdict, Group]


class Triage:
    """The service; see the package."""

    def __init__(self, settings: TriageSettings, bus: Bus, db: ClickHouse) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._life = {topic_of(kind).name: kind for kind in LIFE}
        bus.subscribe(CONSUMES, self.handle, at_most=settings.triage_batch)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Judge settled traces together, and take the steps of modes one by one."""
        for topic, run in groupby(batch, key=lambda d: d.topic):
            if kind := self._life.get(topic):
                for delivery in run:
                    await self._step(delivery, kind)
            else:
                await self._judge({unpack(d, TraceSettled).trace_id: d for d in run})

    async def _judge(self, settled: dict[str, Delivery]) -> None:
        traces = await spans.traces(self._db, list(settled))
        said = await evaluations.of_traces(self._db, list(settled))
        _account_for([settled[trace_id] for trace_id in settled.keys() - traces.keys()])
        judged = [_verdict(trace, said.get(trace.trace_id, [])) for trace in traces.values()]
        failures = [(verdict, group) for verdict, group in judged if group]
        await verdicts.insert(self._db, [verdict for verdict, _ in judged])
        metrics.TRACES.labels("failed").inc(len(failures))
        metrics.TRACES.labels("good").inc(len(judged) - len(failures))
        await self._name(failures)
        for verdict, group in failures:
            message = _failure(verdict, group)
            await self._bus.publish(
                message, because=(message.failure_id, group.mode_id), cause=settled[verdict.trace_id]
            )
        await self._open({group.mode_id: (verdict, group) for verdict, group in failures})

    async def _name(self, failures: Sequence[_Failure]) -> None:
        groups = {group.mode_id: (verdict, group) for verdict, group in reversed(failures)}
        known = await modes.known(self._db, list(groups)) if groups else set()
        for mode_id, (verdict, group) in groups.items():
            if mode_id not in known:
                await modes.insert(self._db, _mode(verdict, group))

    async def _open(self, touched: dict[str, _Failure]) -> None:
        if not touched:
            return
        counts = await verdicts.counts(self._db, list(touched))
        opened = await modes.opened(self._db, list(touched))
        for mode_id, count in counts.items():
            mode = await modes.get(self._db, mode_id)
            if mode is None or mode_id in opened or count < self._settings.mode_opens_at:
                continue
            failing = await verdicts.failing(self._db, mode_id, _EXAMPLES)
            message = ModeOpened(
                mode_id=mode_id,
                agent=mode.agent,
                title=mode.title,
                fingerprint=mode.fingerprint,
                trace_ids=[trace_id for trace_id, _ in failing],
            )
            message.opened_at.FromDatetime(datetime.now(UTC))
            await self._bus.publish(message, because=(mode_id,))
            # When it was first seen: that comes before every other step, also where this is done again late.
            await modes.enter(self._db, mode_id, State.OPEN, cause="opened", at=mode.opened_at)

    async def _step(self, delivery: Delivery, kind: type[Message]) -> None:
        event = unpack(delivery, kind)
        if isinstance(event, DecisionReached) and event.verdict != VERDICT_SHIP:
            return
        # Every message in LIFE has a mode_id; protobuf's classes share no base that says so.
        mode_id: str = getattr(event, "mode_id")  # noqa: B009
        cause = delivery.headers.get("ce_id") or str(delivery)
        detail = str(getattr(event, "reason", ""))
        at = _happened(delivery, event) or datetime.now(UTC)
        await modes.enter(self._db, mode_id, LIFE[kind], cause, at=at, detail=detail)


def wire(settings: TriageSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe; nothing runs beside."""
    Triage(settings, bus, db)
    return ()


def _account_for(missing: Sequence[Delivery]) -> None:
    oldest = datetime.now(UTC) - timedelta(days=LOOK_BACK_DAYS)
    for delivery in missing:
        settled_at = _happened(delivery)
        if settled_at and settled_at > oldest:
            raise OutageError(f"the trace that {delivery} settles is not stored (yet)")
    if missing:
        log.warning("%d settled traces are not stored any more, the first: %s", len(missing), missing[0])


def _happened(delivery: Delivery, event: Message | None = None) -> datetime | None:
    """When an event happened: as it says itself, else when it was first sent; None when nothing says so."""
    for field in ("proposed_at", "decided_at", "reopened_at"):
        if event is not None and field in event.DESCRIPTOR.fields_by_name and event.HasField(field):
            at: datetime = getattr(event, field).ToDatetime(UTC)
            return at
    try:
        at = datetime.fromisoformat(delivery.headers.get("ce_time", ""))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _verdict(trace: Trace, said: Sequence[Evaluation]) -> tuple[Verdict, Group | None]:
    signals = signals_of(trace, said)
    agent = trace.agent or trace.root.service or "unknown"
    group = group_of(agent, signals[0]) if signals else None
    verdict = Verdict(
        agent=agent,
        agent_version=trace.version,
        trace_id=trace.trace_id,
        failed=bool(signals),
        mode_id=group.mode_id if group else "",
        span_id=signals[0].span_id if signals else "",
        signals=signals,
        detector=DETECTOR,
        occurred_at=datetime.fromtimestamp(trace.root.start_ns / 1e9, UTC),
        judged_at=datetime.now(UTC),
    )
    return verdict, group


def _mode(verdict: Verdict, group: Group) -> modes.Mode:
    return modes.Mode(
        mode_id=group.mode_id,
        agent=verdict.agent,
        title=group.title,
        fingerprint=group.fingerprint,
        kind=group.kind,
        opened_at=datetime.now(UTC),
    )


def _failure(verdict: Verdict, group: Group) -> FailureDetected:
    message = FailureDetected(
        failure_id=stable_id("failure", verdict.agent, verdict.trace_id),
        agent=verdict.agent,
        agent_version=verdict.agent_version,
        trace_id=verdict.trace_id,
        mode_id=group.mode_id,
        signals=[
            Signal(kind=s.kind, subject=s.subject, detail=s.detail, span_id=s.span_id)
            for s in verdict.signals
        ],
        detector=verdict.detector,
    )
    message.occurred_at.FromDatetime(verdict.occurred_at)
    return message
