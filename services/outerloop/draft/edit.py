"""Edit: an eval as a person wrote it anew, proven again on what is recorded."""

from dataclasses import replace
from datetime import UTC

from outerloop.contracts.v1.eval_pb2 import EvalReviewed
from outerloop.draft.core.measure import Failing, measured
from outerloop.draft.evidence import gather
from outerloop.draft.settings import DraftSettings
from outerloop.evals.grade import grade
from outerloop.evals.model import Eval
from outerloop.evals.suite import Entry
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import spans
from outerloop.store.evals import EvalRecord, Reproduction, State
from outerloop.trace.neighbours import MOST, Crowd
from outerloop.trace.signal import Signal


async def edited(
    db: ClickHouse, record: EvalRecord, review: EvalReviewed, settings: DraftSettings
) -> tuple[EvalRecord, Entry]:
    """The row of the eval as the reviewer wants it, and the eval with its variants; nothing is stored here.

    It is run on the base again, and waits for review again.

    Raises:
        UserError: when it is no eval of this id, agent and mode, or passes on the failure that it is about.
    """
    eval_ = checked(record, review.eval_yaml, review.reviewer)
    entry = Entry(eval_, record.cassette)
    anew = replace(
        record,
        state=State.PROVING if record.reproduction is not Reproduction.UNASKED else State.DRAFTED,
        eval_yaml=eval_.to_yaml(),
        content_sha256=entry.content_sha256,
        variants=0,
        reproduction=Reproduction.UNASKED,
        reason=review.reason,
        at=review.reviewed_at.ToDatetime(UTC),
    )
    source = next(iter(eval_.provenance.source_traces), "")
    exemplar = (await spans.traces(db, [source])).get(source) if source else None
    if exemplar is None:
        return anew, entry
    if grade(eval_.expect, exemplar).passed:
        raise UserError(f"as it is now it passes on the failure that it is about, trace {source}")
    found = await gather(db, record.agent, record.mode_id, settings)
    sign = Signal(record.signal_kind, record.signal_subject, "", record.span_id)
    # As a draft is: where every request of the kind fails, healthy runs of any kind must do.
    alike = Crowd(found.healthy).like(exemplar) or found.healthy[:MOST]
    made = measured(Failing(exemplar, sign), eval_.expect, alike, found.failing, writes=found.writes)
    # Its variants say what the draft expected: others are made for what it expects now.
    can_ask = anew.state is State.PROVING
    held = found.variants(made, (), settings.draft_variants, eval_.id if can_ask else "")
    varied = replace(entry, held_out=tuple(held))
    proven = replace(
        anew,
        content_sha256=varied.content_sha256,
        variants=len(varied.held_out),
        failing_caught=made.failing_caught,
        failing=made.failing,
        healthy_passed=made.healthy_passed,
        healthy=made.healthy,
        mutants=made.mutants,
        mutants_killed=made.mutants - len(made.survivors),
        mutants_equivalent=made.equivalent,
        survivors=tuple(dict.fromkeys(made.survivors)),
    )
    return proven, varied


def checked(record: EvalRecord, text: str, reviewer: str) -> Eval:
    """The eval that a person wrote in place of the record's.

    Raises:
        UserError: naming what is wrong with it.
    """
    was, eval_ = record.eval, Eval.from_yaml(text, f"eval {record.eval_id}")
    for name in ("id", "agent", "mode_id"):
        if getattr(eval_, name) != getattr(was, name):
            raise UserError(f"{name}: it must stay {getattr(was, name)!r}, and is {getattr(eval_, name)!r}")
    drafted_by = was.provenance.drafted_by.partition("; edited by")[0]
    signed = was.provenance.model_copy(update={"drafted_by": f"{drafted_by}; edited by {reviewer}"})
    return eval_.model_copy(update={"provenance": signed})
