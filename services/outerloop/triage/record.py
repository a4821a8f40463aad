"""What triage writes and sends: verdicts, modes, and the messages about them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened, Signal
from outerloop.runtime.envelope import Delivery, stable_id
from outerloop.runtime.prices import Price
from outerloop.store.labels import Label
from outerloop.store.modes import Mode
from outerloop.store.verdicts import Verdict
from outerloop.trace import signal
from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Trace
from outerloop.triage.core.grouping import Group, group_of
from outerloop.triage.core.signals import DETECTOR, signals_of
from outerloop.triage.facts import facts_of, tool_at


def agent_of(trace: Trace) -> str:
    """The agent whose trace it is."""
    return trace.agent or trace.root.service or "unknown"


def judged(
    trace: Trace, said: Sequence[Evaluation], label: Label | None, prices: Mapping[str, Price]
) -> tuple[Verdict, Group | None]:
    """The verdict on a trace, and the group of its failure. What a person said of it (`label`) is so."""
    signals = signals_of(trace, said)
    detected = bool(signals)
    if label and not label.good and not signals:
        signals = (signal.Signal("evaluation", "a person", f"bad: {label.why}", trace.root.span_id),)
    failed = not label.good if label else detected
    group = group_of(agent_of(trace), signals[0]) if failed else None
    span_id = signals[0].span_id if failed else ""
    verdict = Verdict(
        agent=agent_of(trace),
        agent_version=trace.version,
        trace_id=trace.trace_id,
        failed=failed,
        mode_id=group.mode_id if group else "",
        span_id=span_id,
        signals=signals,
        detector=DETECTOR,
        occurred_at=datetime.fromtimestamp(trace.root.start_ns / 1e9, UTC),
        judged_at=datetime.now(UTC),
        detected=detected,
        score=float(detected),
        tool=tool_at(trace, span_id) if failed else "",
        **asdict(facts_of(trace, prices)),
    )
    return verdict, group


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
            Signal(kind=s.kind, subject=s.subject, detail=s.detail, span_id=s.span_id)
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
