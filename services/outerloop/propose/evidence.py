"""Gathers what a session is told: the mode, the eval, recorded runs, files, and what was tried before."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC

from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.evals.grade import describe
from outerloop.propose.context import Attempt, Evidence, FailedEval
from outerloop.propose.lessons import choose, words_of
from outerloop.propose.workspace import Workspace
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import lessons as store_lessons
from outerloop.store import releases, spans, verdicts
from outerloop.store.changes import ChangeRecord, State
from outerloop.store.evals import EvalRecord
from outerloop.store.lessons import LessonRecord
from outerloop.store.releases import Reopening
from outerloop.trace.neighbours import neighbours
from outerloop.trace.signal import Signal

_FAILING = 20
_HEALTHY = 200
_OTHERS = 3
_DESCRIBED = 60


async def gather(
    db: ClickHouse,
    record: EvalRecord,
    workspace: Workspace,
    changes: Sequence[ChangeRecord],
    decisions: Mapping[str, DecisionReached],
) -> tuple[Evidence, list[LessonRecord]]:
    """The evidence for an attempt at `record`'s eval, and the lessons in it. `decisions` are by change."""
    # Of the mode's failures only what its eval was written from: among the others are held-out variants.
    # One that was imported was written from none.
    exemplar, *sources = record.eval.provenance.source_traces or ("",)
    failing = dict(await verdicts.failing(db, record.mode_id, _FAILING))
    healthy = await verdicts.healthy(db, record.agent, _HEALTHY)
    others = [trace_id for trace_id in sources if trace_id != exemplar][:_OTHERS]
    traces = await spans.traces(db, [exemplar, *others, *healthy])
    shown = traces.get(exemplar)
    alike = neighbours(shown, [traces[t] for t in healthy if t in traces]) if shown else []
    undone = _undone(record.eval_id, decisions, await releases.reopenings(db, record.agent))
    signals = failing.get(exemplar) or next(iter(failing.values()), ())
    lessons = await _lessons(
        db, record, signals, {c.change_id for c in changes if c.eval_id == record.eval_id}
    )
    files = workspace.mutable_files()
    evidence = Evidence(
        title=record.title,
        signals=signals,
        eval=record.eval,
        expectations=tuple(describe(e) for e in record.eval.expect),
        failing=shown,
        healthy=alike[0] if alike else None,
        files=files,
        about={path: workspace.first_line(path) for path in list(files)[:_DESCRIBED]},
        lessons=tuple(lesson.text for lesson in lessons),
        others=(
            *(("failing", traces[t]) for t in others if t in traces),
            *(("healthy", trace) for trace in alike[1 : 1 + _OTHERS]),
        ),
        attempts=tuple(
            _attempt(change, decisions.get(change.change_id), undone.get(change.change_id, ""))
            for change in changes
            if change.eval_id == record.eval_id
            and (change.state is State.FAILED or change.change_id in decisions)
        ),
    )
    return evidence, lessons


async def _lessons(
    db: ClickHouse, record: EvalRecord, signals: Sequence[Signal], own: Collection[str]
) -> list[LessonRecord]:
    """Those that an attempt at the eval is told. Its `own` earlier changes are told in full anyway."""
    known = [each for each in await store_lessons.of_agent(db, record.agent) if each.change_id not in own]
    tallies = await store_lessons.tallies(db, record.agent) if known else {}
    about = words_of(record.title, *(f"{s.subject} {s.detail}" for s in signals), record.eval_yaml)
    return choose(known, tallies, record.mode_id, about)


def _attempt(change: ChangeRecord, decision: DecisionReached | None, undone: str) -> Attempt:
    if decision is None:  # it failed: there was nothing to decide on
        return Attempt(number=change.attempt, diagnosis="", patch="", reason=change.diagnosis)
    broken = [o for o in decision.outcomes if not o.held]
    return Attempt(
        number=change.attempt,
        diagnosis=change.diagnosis,
        patch=change.patch,
        reason=decision.reason,
        failed=tuple(FailedEval(o.title, o.passed, o.trials, tuple(o.reasons)) for o in broken),
        undone=undone,
    )


def _undone(
    eval_id: str, decisions: Mapping[str, DecisionReached], reopened: Sequence[Reopening]
) -> dict[str, str]:
    """Why each change that shipped for an eval did not hold: all that reopened it before the next one."""
    shipped = {
        decision.decided_at.ToDatetime(UTC): change_id
        for change_id, decision in decisions.items()
        if decision.eval_id == eval_id and decision.verdict == VERDICT_SHIP
    }
    reasons: dict[str, list[str]] = {}
    for reopening in reopened:
        before = [at for at in shipped if at < reopening.at]
        if before and reopening.eval_id == eval_id:
            reasons.setdefault(shipped[max(before)], []).append(reopening.reason)
    return {change_id: "; ".join(said) for change_id, said in reasons.items()}
