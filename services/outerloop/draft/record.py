"""What draft writes: rows of the table evals, and the messages that announce them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from outerloop.contracts.v1.eval_pb2 import (
    REPRODUCTION_NOT_REPRODUCED,
    REPRODUCTION_REPRODUCED,
    REPRODUCTION_UNSPECIFIED,
    REVIEW_ACCEPT,
    EvalAccepted,
    EvalDrafted,
    EvalReviewed,
    EvalUndraftable,
    Proof,
)
from outerloop.draft.core.proof import Draft
from outerloop.draft.evidence import Amount
from outerloop.evals.model import FORMAT, Cassette, Eval, Provenance, RecordedCall, content_sha256
from outerloop.store.evals import EvalRecord, Reproduction, State
from outerloop.trace.model import Trace

DRAFTER = "outerloop draft rules/3"
_SOURCES = 5
_REPRODUCTION = {
    Reproduction.UNASKED: REPRODUCTION_UNSPECIFIED,
    Reproduction.REPRODUCED: REPRODUCTION_REPRODUCED,
    Reproduction.NOT_REPRODUCED: REPRODUCTION_NOT_REPRODUCED,
}


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a mode, which is what an eval is drafted for."""

    eval_id: str
    agent: str
    mode_id: str
    title: str


def drafted(opening: Opening, made: Draft, mode_traces: list[str], margin: float) -> EvalRecord:
    """The row of a new draft; `mode_traces` are failing ones of the mode, the oldest first."""
    now = datetime.now(UTC)
    eval_ = Eval(
        format=FORMAT,
        id=opening.eval_id,
        agent=opening.agent,
        mode_id=opening.mode_id,
        title=opening.title,
        input={"messages": made.exemplar.input_messages},
        expect=made.expect,
        margin=margin,
        provenance=Provenance(
            drafted_by=DRAFTER,
            drafted_at=now,
            source_traces=(made.exemplar.trace_id, *mode_traces[:_SOURCES]),
        ),
    )
    cassette = _cassette(made.exemplar)
    return EvalRecord(
        eval_id=opening.eval_id,
        agent=opening.agent,
        mode_id=opening.mode_id,
        title=opening.title,
        state=State.DRAFTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl=cassette.to_jsonl(),
        content_sha256=content_sha256(eval_, cassette),
        failing_caught=made.failing_caught,
        failing=made.failing,
        healthy_passed=made.healthy_passed,
        healthy=made.healthy,
        reviewer="",
        at=now,
        drafter=DRAFTER,
        signal_kind=made.sign.kind,
        signal_subject=made.sign.subject,
        span_id=made.sign.span_id,
        mutants=made.mutants,
        mutants_killed=made.mutants - len(made.survivors),
        survivors=tuple(dict.fromkeys(made.survivors)),
    )


def undraftable(opening: Opening, seen: Amount) -> EvalRecord:
    """The row of an opening without an eval, with what was recorded by then."""
    return EvalRecord(
        eval_id=opening.eval_id,
        agent=opening.agent,
        mode_id=opening.mode_id,
        title=opening.title,
        state=State.UNDRAFTABLE,
        eval_yaml="",
        cassette_jsonl="",
        content_sha256="",
        failing_caught=0,
        failing=seen.failing,
        healthy_passed=0,
        healthy=seen.healthy,
        reviewer="",
        at=datetime.now(UTC),
    )


def reviewed(record: EvalRecord, review: EvalReviewed) -> EvalRecord:
    """The row after a person's verdict."""
    at = review.reviewed_at.ToDatetime(UTC)
    accepted = review.review == REVIEW_ACCEPT
    update: dict[str, object] = {"accepted_by": review.reviewer, "accepted_at": at} if accepted else {}
    eval_ = record.eval
    signed = eval_.model_copy(update={"provenance": eval_.provenance.model_copy(update=update)})
    return replace(
        record,
        state=State.ACCEPTED if accepted else State.REJECTED,
        eval_yaml=signed.to_yaml(),
        reviewer=review.reviewer,
        at=at,
    )


def eval_drafted(record: EvalRecord) -> EvalDrafted:
    """A draft waits for review."""
    return EvalDrafted(
        eval_id=record.eval_id,
        agent=record.agent,
        mode_id=record.mode_id,
        title=record.title,
        content_sha256=record.content_sha256,
        proof=Proof(
            failing_caught=record.failing_caught,
            failing=record.failing,
            healthy_passed=record.healthy_passed,
            healthy=record.healthy,
            mutants_killed=record.mutants_killed,
            mutants=record.mutants,
            reproduction=_REPRODUCTION[record.reproduction],
            base_commit=record.base_commit,
            base_passed=record.base_passed,
            base_trials=record.base_trials,
        ),
    )


def eval_undraftable(record: EvalRecord, reason: str) -> EvalUndraftable:
    """A mode has no eval, and why."""
    return EvalUndraftable(agent=record.agent, mode_id=record.mode_id, reason=reason)


def eval_accepted(record: EvalRecord) -> EvalAccepted:
    """An eval binds."""
    message = EvalAccepted(
        eval_id=record.eval_id,
        agent=record.agent,
        mode_id=record.mode_id,
        content_sha256=record.content_sha256,
        accepted_by=record.reviewer,
    )
    message.accepted_at.FromDatetime(record.at)
    return message


def _cassette(trace: Trace) -> Cassette:
    calls = (
        RecordedCall(tool=c.name, arguments=dict(c.arguments), result=c.result, failed=c.failed)
        for c in trace.tool_calls
    )
    return Cassette(calls=tuple(calls))
