"""Settled traces in, verdicts out: what every replica does, for whichever traces come to it."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import OutageError
from outerloop.runtime.prices import known_prices
from outerloop.store import evaluations, labels, modes, rulings, spans, verdicts
from outerloop.store.modes import Mode
from outerloop.store.rulings import Ruling
from outerloop.store.settlements import LOOK_BACK_DAYS
from outerloop.store.verdicts import Verdict
from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Trace
from outerloop.triage.core.detector import Judgement
from outerloop.triage.core.features import read
from outerloop.triage.core.grouping import Group
from outerloop.triage.core.rulings import home_of
from outerloop.triage.detectors import Panel, Panels
from outerloop.triage.judges import Judges
from outerloop.triage.record import agent_of, failure_of, judged, mode_of, when_sent
from outerloop.triage.unusual import Unusual

log = logging.getLogger(__name__)

_OLD_SECONDS = 24 * 3600.0  # a trace that ended so long ago was filled in later: its wait says nothing of us


class Judging:
    """Judges traces, as often as it is asked to: the same trace again replaces its verdict."""

    def __init__(self, bus: Bus, db: ClickHouse, judges: Judges) -> None:
        self._bus = bus
        self._db = db
        self._judges = judges
        self._panels = Panels(db)
        self._prices = known_prices()
        self._unusual = Unusual(db, self._prices)

    async def settled(self, settled: Mapping[str, Delivery]) -> None:
        """Judge traces that have settled, by trace id.

        Raises:
            OutageError: one that settled lately is not stored yet.
        """
        there = await self._judge(list(settled), settled)
        now = time.time()
        for trace in there.values():
            waited = now - max(span.end_ns for span in trace.spans) / 1e9
            if waited < _OLD_SECONDS:
                metrics.VERDICT_SECONDS.observe(max(waited, 0.0))
        _account_for([settled[trace_id] for trace_id in settled.keys() - there])

    async def again(self, trace_ids: Sequence[str]) -> None:
        """Judge traces anew, because something was said of them; those that are gone stay as they were."""
        await self._judge(trace_ids, {})

    async def _judge(self, trace_ids: Sequence[str], causes: Mapping[str, Delivery]) -> dict[str, Trace]:
        """Those that are stored, by trace id."""
        traces = await spans.traces(self._db, trace_ids)
        said = await evaluations.of_traces(self._db, trace_ids)
        for trace_id, opinion in (
            await self._judges.say({i: agent_of(t) for i, t in traces.items()})
        ).items():
            said.setdefault(trace_id, []).append(opinion)
        by_people = await labels.of_traces(self._db, trace_ids)
        agents = sorted({agent_of(t) for t in traces.values()})
        moves = await rulings.moving(self._db, agents)
        panels = await self._panels.of(agents)
        # In a thread: a batch takes a while, and the consumer is to be heard of meanwhile.
        heard = await asyncio.to_thread(_heard, list(traces.values()), said, panels)
        made = [
            _placed(*judged(traces[i], first, by_people.get(i), self._prices, beside), moves)
            for i, (first, *beside) in heard.items()
        ]
        failures = [verdict for verdict, _ in made if verdict.failed]
        await verdicts.insert(self._db, [verdict for verdict, _ in made])
        await self._unusual.note([(traces[verdict.trace_id], verdict) for verdict, _ in made])
        await self._name(
            {group.mode_id: mode_of(verdict, group) for verdict, group in reversed(made) if group}
        )
        metrics.TRACES.labels("failed").inc(len(failures))
        metrics.TRACES.labels("good").inc(len(made) - len(failures))
        for verdict in failures:
            message = failure_of(verdict)
            because = (message.failure_id, verdict.mode_id)
            await self._bus.publish(message, because=because, cause=causes.get(verdict.trace_id))
        return traces

    async def _name(self, found: Mapping[str, Mode]) -> None:
        known = await modes.known(self._db, list(found)) if found else set()
        for mode_id in found.keys() - known:
            await modes.insert(self._db, found[mode_id])


def _heard(
    traces: Sequence[Trace], said: Mapping[str, Sequence[Evaluation]], panels: Mapping[str, Panel]
) -> dict[str, list[Judgement]]:
    """What the panel of its agent thinks of each trace, by trace id: who decides comes first."""
    heard: dict[str, list[Judgement]] = {}
    for agent, panel in panels.items():
        reads = [read(trace) for trace in traces if agent_of(trace) == agent]
        for detector in (panel.first, *panel.beside):
            for judgement in detector.judge_read(reads, said):
                heard.setdefault(judgement.trace_id, []).append(judgement)
    return heard


def _placed(
    verdict: Verdict, group: Group | None, moves: Mapping[str, Sequence[Ruling]]
) -> tuple[Verdict, Group | None]:
    """The verdict in the mode where people want such a failure; without a group where that has its row."""
    own = moves.get(verdict.agent, ())
    beside = tuple(
        replace(b, mode_id=b.mode_id and home_of(b.mode_id, b.detail, own)) for b in verdict.beside
    )
    verdict = replace(verdict, beside=beside)
    if group is None:
        return verdict, None
    home = home_of(group.mode_id, verdict.signals[0].detail, own)
    return (verdict, group) if home == group.mode_id else (replace(verdict, mode_id=home), None)


def _account_for(missing: Sequence[Delivery]) -> None:
    oldest = datetime.now(UTC) - timedelta(days=LOOK_BACK_DAYS)
    for delivery in missing:
        settled_at = when_sent(delivery)
        if settled_at and settled_at > oldest:
            raise OutageError(f"the trace that {delivery} settles is not stored (yet)")
    if missing:
        log.warning("%d settled traces are not stored any more, the first: %s", len(missing), missing[0])
