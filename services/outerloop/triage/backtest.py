"""Two detectors on an agent's stored traffic: what would change if one replaced the other. Writes nothing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import detectors, evaluations, labels, rulings, spans, verdicts
from outerloop.store.detectors import RULES
from outerloop.store.rulings import Ruling
from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Trace
from outerloop.triage.core.comparing import Call, Comparison, Side, compare
from outerloop.triage.core.detector import Detector, Judgement
from outerloop.triage.core.features import read
from outerloop.triage.core.grouping import group_of
from outerloop.triage.core.rulings import home_of
from outerloop.triage.core.signals import DETECTOR
from outerloop.triage.detectors import Panels
from outerloop.triage.learning import learned_now

CURRENT, LABELS = "current", "labels"
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Pair:
    """The detector in use, or another to compare with, and the one that would replace it."""

    before: Detector
    after: Detector


async def detector_of(db: ClickHouse, agent: str, which: str) -> Detector:
    """The detector that a person means: `rules`, `current`, `labels` (all that there are now), or a version.

    Raises:
        UserError: there is none of that name.
    """
    if which == LABELS:
        return await learned_now(db, agent)
    if which == CURRENT:
        which = (await detectors.in_use(db, [agent])).get(agent, RULES)
    known = [each.version for each in await detectors.of_agent(db, agent)]
    if which not in {RULES, DETECTOR, *known}:
        names = ", ".join([RULES, CURRENT, LABELS, *known])
        raise UserError(f"{agent} has no detector {which}; it has: {names}")
    if which not in {RULES, DETECTOR} and not which.startswith(f"{DETECTOR}+"):
        raise UserError(f"{which} was learned with other rules than {DETECTOR}, which run now")
    return await Panels(db).of_version(agent, which)


async def backtest(
    db: ClickHouse,
    agent: str,
    pair: Pair,
    window: tuple[datetime, datetime],
    progress: Callable[[int, int], None],
) -> Comparison:
    """Judge an agent's traces of a time by both; `progress` hears how many are done, and of how many.

    A label counts for a detector by what it was not taught by: where it has learned from a trace, its call is
    the one of when that was left out.
    """
    trace_ids = await verdicts.between(db, agent, *window)
    bad = {truth.trace_id: not truth.good for truth in await labels.truths(db, agent)}
    moves = (await rulings.moving(db, [agent])).get(agent, [])
    calls: tuple[list[Call], list[Call]] = ([], [])
    for start in range(0, len(trace_ids), _AT_ONCE):
        part = trace_ids[start : start + _AT_ONCE]
        traces = list((await spans.traces(db, part)).values())
        said = await evaluations.of_traces(db, part)
        for kept, made in zip(calls, await asyncio.to_thread(_both, traces, said, pair), strict=True):
            kept.extend(_call(agent, judgement, moves, alone=alone) for judgement, alone in made)
        progress(min(len(trace_ids), start + _AT_ONCE), len(trace_ids))
    sides = [
        Side(detector.name, made, detector.taught.called)
        for detector, made in zip((pair.before, pair.after), calls, strict=True)
    ]
    return compare(sides[0], sides[1], bad)


def _both(
    traces: Sequence[Trace], said: Mapping[str, Sequence[Evaluation]], pair: Pair
) -> tuple[list[tuple[Judgement, bool]], list[tuple[Judgement, bool]]]:
    reads = [read(trace) for trace in traces]
    runs = [each.run for each in reads]
    before, after = (
        list(zip(detector.judge_read(reads, said), detector.calls(runs), strict=True))
        for detector in (pair.before, pair.after)
    )
    return before, after


def _call(agent: str, judgement: Judgement, moves: Sequence[Ruling], *, alone: bool) -> Call:
    if not judgement.failed:
        return Call(judgement.trace_id, judgement.score, alone)
    sign = judgement.signals[0]
    group = group_of(agent, sign)
    home = home_of(group.mode_id, sign.detail, moves)
    return Call(judgement.trace_id, judgement.score, alone, home, group.title, sign.span_id, sign.detail)
