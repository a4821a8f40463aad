"""What people say of traces: by a label, or by a verdict on an eval. All of an agent's go to one replica."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from outerloop.contracts.v1.eval_pb2 import REVIEW_ACCEPT, REVIEW_NOT_A_FAILURE, EvalReviewed
from outerloop.contracts.v1.label_pb2 import QUALITY_BAD, QUALITY_GOOD, TraceLabelled
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import PoisonError
from outerloop.store import evals, labels, verdicts
from outerloop.store.labels import Label
from outerloop.store.verdicts import Verdict
from outerloop.triage.judging import Judging


class Labels:
    """Keeps labels, and has the traces judged anew: what a person says of a trace is so."""

    def __init__(self, db: ClickHouse, judging: Judging) -> None:
        self._db = db
        self._judging = judging

    async def labelled(self, message: TraceLabelled) -> None:
        """A person has labelled a trace."""
        if message.quality not in {QUALITY_GOOD, QUALITY_BAD}:
            raise PoisonError(f"a label of trace {message.trace_id} that is neither good nor bad")
        label = Label(
            agent=message.agent,
            trace_id=message.trace_id,
            source="person",
            labelled_by=message.labelled_by,
            good=message.quality == QUALITY_GOOD,
            why=message.why,
            labelled_at=message.labelled_at.ToDatetime(UTC),
        )
        await self._keep([label])

    async def reviewed(self, message: EvalReviewed) -> None:
        """A person has judged an eval, and so the traces that it was drafted from."""
        good = _says(message)
        record = await evals.get(self._db, message.eval_id)
        if good is None or record is None or record.content_sha256 != message.content_sha256:
            return
        failing = await verdicts.of_traces(self._db, record.eval.provenance.source_traces)
        await self._keep(
            [
                Label(
                    agent=message.agent,
                    trace_id=trace_id,
                    source="review",
                    labelled_by=message.reviewer,
                    good=good,
                    why=message.reason or f"eval {message.eval_id}",
                    labelled_at=message.reviewed_at.ToDatetime(UTC),
                )
                for trace_id, verdict in failing.items()
                if verdict.mode_id == record.mode_id
            ]
        )

    async def _keep(self, new: Sequence[Label]) -> None:
        trace_ids = [label.trace_id for label in new]
        if not trace_ids:
            return
        there = await labels.of_traces(self._db, trace_ids)
        before = await verdicts.of_traces(self._db, trace_ids)
        # A trace that has a label may have taught the detector: what it says of it proves nothing.
        rows = [
            label if label.trace_id in there else _with(label, before.get(label.trace_id)) for label in new
        ]
        await labels.insert(self._db, [label for label in rows if not _is_there(label, there)])
        await self._judging.again(trace_ids)


def _says(review: EvalReviewed) -> bool | None:
    """Whether a review calls the traces good; None: it says nothing of them."""
    return {REVIEW_ACCEPT: False, REVIEW_NOT_A_FAILURE: True}.get(review.review)


def _with(label: Label, verdict: Verdict | None) -> Label:
    """The label, with what triage had said."""
    if verdict is None:
        return label
    detected, score = bool(verdict.detected), verdict.score or 0.0
    return replace(label, detector=verdict.detector, detected=detected, score=score)


def _is_there(label: Label, there: dict[str, Label]) -> bool:
    """Whether it is told again: the first telling knows what triage had said by then."""
    known = there.get(label.trace_id)
    told = (label.source, label.labelled_by, label.good, label.why)
    same = known and told == (known.source, known.labelled_by, known.good, known.why)
    return bool(known and same and known.labelled_at == _milliseconds(label.labelled_at))


def _milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
