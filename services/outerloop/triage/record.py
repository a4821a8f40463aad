"""What triage writes and sends: verdicts, modes, and the messages about them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from outerloop.contracts.v1 import failure_pb2
from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened
from outerloop.runtime.envelope import Delivery, stable_id
from outerloop.runtime.prices import Price
from outerloop.store.labels import Label
from outerloop.store.modes import Mode
from outerloop.store.verdicts import Beside, Verdict
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal
from outerloop.triage.core.detector import Judgement
from outerloop.triage.core.grouping import Group, group_of
from outerloop.triage.facts import facts_of, tool_at


def agent_of(trace: Trace) -> str:
    """The agent whose trace it is."""
    return trace.agent or trace.root.service or "unknown"


def judged(
    trace: Trace,
    judgement: Judgement,
    label: Label | None,
    prices: Mapping[str, Price],
    beside: Sequence[Judgement] = (),
) -> tuple[Verdict, Group | None]:
    """The verdict on a trace, and the group of its failure. What a person said of it (`label`) is so."""
    agent = agent_of(trace)
    telling = _telling(trace, judgement, label)
    group = group_of(agent, telling[0]) if telling else None
    span_id = telling[0].span_id if telling else ""
    verdict = Verdict(
        agent=agent,
        agent_version=trace.version,
        trace_id=trace.trace_id,
        failed=bool(telling),
        mode_id=group.mode_id if group else "",
        span_id=span_id,
        # Why it would have failed stays to be seen where a person said that it did not.
        signals=telling or (judgement.signals if judgement.failed else ()),
        detector=judgement.detector,
        occurred_at=datetime.fromtimestamp(trace.root.start_ns / 1e9, UTC),
        judged_at=datetime.now(UTC),
        detected=judgement.failed,
        score=judgement.score,
        tool=tool_at(trace, span_id) if telling else "",
        beside=tuple(_beside(trace, each, label) for each in beside),
        **asdict(facts_of(trace, prices)),
    )
    return verdict, group


def _telling(trace: Trace, judgement: Judgement, label: Label | None) -> tuple[Signal, ...]:
    """The signs of a failure, the most telling first; none: it is no failure."""
    if label and label.good:
        return ()
    if label and not judgement.failed:
        return (Signal("evaluation", "a person", f"bad: {label.why}", trace.root.span_id),)
    return judgement.signals if judgement.failed else ()


def _beside(trace: Trace, judgement: Judgement, label: Label | None) -> Beside:
    telling = _telling(trace, judgement, label)
    if not telling:
        return Beside(judgement.detector)
    return Beside(judgement.detector, group_of(agent_of(trace), telling[0]).mode_id, telling[0].detail)


def mode_of(verdict: Verdict, group: Group) -> Mode:
    """The mode that a failure is the first of."""
    return Mode(
        mode_id=group.mode_id,
        agent=verdict.agent,
        title=group.title,
        fingerprint=group.fingerprint,
        kind=group.kind,
        opened_at=datetime.now(UTC),
        description=group.description,
        gravity=group.severity,
    )


def failure_of(verdict: Verdict) -> FailureDetected:
    """A trace failed."""
    message = FailureDetected(
        failure_id=stable_id("failure", verdict.agent, verdict.trace_id),
        agent=verdict.agent,
        agent_version=verdict.agent_version,
        trace_id=verdict.trace_id,
        mode_id=verdict.mode_id,
        signals=[
            failure_pb2.Signal(kind=s.kind, subject=s.subject, detail=s.detail, span_id=s.span_id)
            for s in verdict.signals
        ],
        detector=verdict.detector,
    )
    message.occurred_at.FromDatetime(verdict.occurred_at)
    return message


def opening_of(mode: Mode, trace_ids: Sequence[str]) -> ModeOpened:
    """A mode has enough failing traces, these among them."""
    message = ModeOpened(
        mode_id=mode.mode_id,
        agent=mode.agent,
        title=mode.title,
        fingerprint=mode.fingerprint,
        trace_ids=trace_ids,
    )
    message.opened_at.FromDatetime(datetime.now(UTC))
    return message


def when_sent(delivery: Delivery) -> datetime | None:
    """When an event was first sent, as it says; None when it does not."""
    try:
        at = datetime.fromisoformat(delivery.headers.get("ce_time", ""))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
