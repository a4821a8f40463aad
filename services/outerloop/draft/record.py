"""What draft writes: rows of the table evals, and the messages that announce them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from outerloop.contracts.v1.eval_pb2 import (
    REPRODUCTION_NOT_REPRODUCED,
    REPRODUCTION_REPRODUCED,
    REPRODUCTION_UNSPECIFIED,
    EvalAccepted,
    EvalDrafted,
    EvalLinked,
    EvalRetired,
    EvalReviewed,
    EvalUndraftable,
    Proof,
)
from outerloop.draft.base import Shown
from outerloop.draft.core.linked import Caught
from outerloop.draft.core.measure import Draft
from outerloop.draft.evidence import Amount, Evidence
from outerloop.evals.cassette import recording
from outerloop.evals.heldout import HeldOut
from outerloop.evals.model import FORMAT, Eval, Provenance
from outerloop.evals.suite import Entry
from outerloop.runtime.envelope import stable_id
from outerloop.store.evals import EvalRecord, Reproduction, State

DRAFTER = "outerloop draft rules/7"
_NO_SANDBOX = (
    "outerloop.yaml names no tools.sandbox, so a call that the recording does not hold is answered by an"
    " error, and a change that makes the agent call otherwise cannot pass"
)
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
    tries: int = 1  # with those that people have rejected, or that the base passes

    @classmethod
    def of(cls, record: EvalRecord) -> "Opening":
        """The opening that a row is of."""
        return cls(record.eval_id, record.agent, record.mode_id, record.title, record.tries)

    def again(self) -> "Opening":
        """The next try, after a person has rejected this one, or the base passes it."""
        return replace(self, eval_id=stable_id("eval", "instead of", self.eval_id), tries=self.tries + 1)


@dataclass(frozen=True, slots=True)
class Writing:
    """Who wrote a draft: rules, or a model by this version of the prompt."""

    by: str = DRAFTER
    model: str = ""
    prompt: str = ""


def drafted(
    opening: Opening,
    made: Draft,
    found: Evidence,
    *,
    held: Sequence[HeldOut],
    writing: Writing,
    margin: float,
) -> tuple[EvalRecord, Entry]:
    """The row of a new draft from what was found, and the eval with its held-out variants.

    Of the mode's failures the sources are those that the proposer may be shown: no variant is among them.
    """
    similar, traffic = found.similar_to(made.exemplar)
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
            drafted_by=writing.by,
            drafted_at=now,
            source_traces=(made.exemplar.trace_id, *_shown(made, found, held)),
            model=writing.model,
            prompt=writing.prompt,
        ),
    )
    entry = Entry(eval_, recording(made.exemplar), tuple(held))
    record = EvalRecord(
        eval_id=opening.eval_id,
        agent=opening.agent,
        mode_id=opening.mode_id,
        title=opening.title,
        state=State.DRAFTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl=entry.cassette.to_jsonl(),
        content_sha256=entry.content_sha256,
        failing_caught=made.failing_caught,
        failing=made.failing,
        healthy_passed=made.healthy_passed,
        healthy=made.healthy,
        reviewer="",
        at=now,
        drafter=writing.by,
        tries=opening.tries,
        similar=similar,
        traffic=traffic,
        signal_kind=made.sign.kind,
        signal_subject=made.sign.subject,
        span_id=made.sign.span_id,
        mutants=made.mutants,
        mutants_killed=made.mutants - len(made.survivors),
        mutants_equivalent=made.equivalent,
        survivors=tuple(dict.fromkeys(made.survivors)),
        variants=len(held),
    )
    return record, entry


def _shown(made: Draft, found: Evidence, held: Sequence[HeldOut]) -> list[str]:
    """Failures of the mode that are neither the exemplar nor on the request of a held-out variant."""
    hidden = [each.variant.input["messages"] for each in held]
    others = [f.trace for f in found.failing if f.trace.input_messages not in hidden]
    return [t.trace_id for t in others if t.trace_id != made.exemplar.trace_id][:_SOURCES]


def undraftable(opening: Opening, seen: Amount, reason: str = "") -> EvalRecord:
    """The row of an opening without an eval, with what was recorded by then and why."""
    return _without(opening, State.UNDRAFTABLE, seen, reason)


def linked(opening: Opening, seen: Amount, by: Caught) -> EvalRecord:
    """The row of an opening that needs no eval of its own."""
    reason = f"eval {by.by.eval_id} fails on {by.caught} of {by.failing} of its failures"
    return replace(_without(opening, State.LINKED, seen, reason), linked_eval=by.by.eval_id)


def _without(opening: Opening, state: State, seen: Amount, reason: str) -> EvalRecord:
    return EvalRecord(
        eval_id=opening.eval_id,
        agent=opening.agent,
        mode_id=opening.mode_id,
        title=opening.title,
        state=state,
        eval_yaml="",
        cassette_jsonl="",
        content_sha256="",
        failing_caught=0,
        failing=seen.failing,
        healthy_passed=0,
        healthy=seen.healthy,
        reviewer="",
        at=datetime.now(UTC),
        reason=reason,
        tries=opening.tries,
    )


def accepted(record: EvalRecord, reviewer: str, at: datetime, reason: str = "") -> EvalRecord:
    """The row of an eval that binds from now on."""
    eval_ = record.eval
    update = {"accepted_by": reviewer, "accepted_at": at}
    signed = eval_.model_copy(update={"provenance": eval_.provenance.model_copy(update=update)})
    state, text = State.ACCEPTED, signed.to_yaml()
    return replace(record, state=state, eval_yaml=text, reviewer=reviewer, reason=reason, at=at)


def refused(record: EvalRecord, review: EvalReviewed, reason: str, state: State) -> EvalRecord:
    """The row of an eval that a person does not want, or wants no longer."""
    at = review.reviewed_at.ToDatetime(UTC)
    return replace(record, state=state, reviewer=review.reviewer, reason=reason, at=at)


def shown(record: EvalRecord, found: Shown) -> EvalRecord:
    """The row of a draft that the base was run on, with the variants that the base fails too."""
    tools = found.terms.tools
    unanswered = record.cassette_jsonl and tools.sandbox is None and not tools.in_process
    return replace(
        record,
        content_sha256=found.entry.content_sha256,
        variants=len(found.entry.held_out),
        state=State.DRAFTED,
        reproduction=Reproduction.REPRODUCED if found.asked.reproduced else Reproduction.NOT_REPRODUCED,
        base_commit=found.commit,
        base_passed=found.asked.passed,
        base_trials=found.asked.trials,
        reason=record.reason or (_NO_SANDBOX if unanswered else ""),
        at=datetime.now(UTC),
    )


def passes(record: EvalRecord) -> str:
    """That the base passes a draft that was run on it, in words."""
    return f"{record.base_passed} of {record.base_trials} trials of {record.base_commit[:12]} pass it"


def never_gates(record: EvalRecord) -> str:
    """Why a mode whose accepted eval the base passes waits for a person."""
    return (
        f"eval {record.eval_id} is kept and never gates: {passes(record)};"
        " `outerloop modes open` has another one drafted"
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


def eval_linked(record: EvalRecord, mode_id: str) -> EvalLinked:
    """A mode needs no eval of its own; `mode_id` is the one of the eval that catches it."""
    return EvalLinked(
        agent=record.agent,
        mode_id=record.mode_id,
        eval_id=record.linked_eval,
        eval_mode_id=mode_id,
        reason=record.reason,
    )


def eval_retired(record: EvalRecord) -> EvalRetired:
    """An eval binds no longer."""
    message = EvalRetired(
        eval_id=record.eval_id,
        agent=record.agent,
        mode_id=record.mode_id,
        retired_by=record.reviewer,
        reason=record.reason,
    )
    message.retired_at.FromDatetime(record.at)
    return message


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
