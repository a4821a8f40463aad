"""Learns an agent's detector from its labels, measures it, and decides whether it judges from now on.

What people, reviewers and trusted evaluators said of traces is all that it learns from: see `labels.truths`.
Whether it may judge is measured by people alone: an evaluator judges its traces itself, and a detector that
only repeats it would say the same twice, by another name.
A detector in use changes only when there is a quarter more to learn from, so what it says can be compared
over time. What an earlier one has learned from is kept in it, also where the traces are gone by now.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.detector_pb2 import DetectorChosen
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import PoisonError
from outerloop.store import detectors, labels, spans, verdicts
from outerloop.store.detectors import RULES, Decision, Learned
from outerloop.store.labels import Truth
from outerloop.trace.model import Trace
from outerloop.triage.core.adopting import may_replace
from outerloop.triage.core.detector import MEMORY, Detector, Example
from outerloop.triage.core.features import Seen, read
from outerloop.triage.core.measuring import LEAST_OF_EACH, Measured
from outerloop.triage.core.signals import DETECTOR
from outerloop.triage.detectors import Panels
from outerloop.triage.settings import Adopts

log = logging.getLogger(__name__)

# Fewer teach nothing: see taught.LEAST_OF_EACH.
LEAST_LABELS = 16
GROWN = 1.25
# Without labels it only remembers runs, to compare others with: from so many on, and anew from time to time.
LEAST_RUNS = 200
OLD = timedelta(days=7)
TRIAGE = "triage"
_AT_ONCE = 200


class Learning:
    """`visit` is for the replica that holds the agent."""

    def __init__(self, db: ClickHouse, adopts: Adopts) -> None:
        self._db = db
        self._adopts = adopts
        # What was learned from last, by agent: of some labels the traces are gone, and they stay so.
        self._tried: dict[str, tuple[str, int, int]] = {}

    async def visit(self, agent: str, now: datetime) -> Learned | None:
        """Learn an agent's detector where there is enough more to learn from; None where there is not."""
        known = await _of_these_rules(self._db, agent)
        newest = _newest(known)
        truths = await labels.truths(self._db, agent)
        if not await self._is_due(agent, truths, newest, now):
            return None
        detector = await _learn(self._db, agent, truths, newest)
        learned = _row(detector, now)
        if learned.version in {each.version for each in known}:
            return None
        await detectors.insert(self._db, learned, await asyncio.to_thread(detector.to_json))
        decision = await self._decision(detector, now)
        await detectors.decide(self._db, decision)
        what = "judges from now on" if decision.adopted else "waits"
        log.info("%s: detector %s %s: %s", agent, learned.version, what, decision.reason)
        return learned

    async def chosen(self, message: DetectorChosen) -> None:
        """A person has chosen a detector."""
        known = {each.version for each in await detectors.of_agent(self._db, message.agent)}
        if message.version not in {*known, RULES}:
            raise PoisonError(f"{message.agent} has no detector {message.version!r} that could be chosen")
        at = message.chosen_at.ToDatetime(UTC)
        said = (message.agent, message.version, message.chosen_by, at.isoformat())
        decision = Decision(
            agent=message.agent,
            decision_id=stable_id("detector", *said),
            version=message.version,
            adopted=True,
            decided_by=message.chosen_by,
            reason=message.reason,
            decided_at=at,
        )
        await detectors.decide(self._db, decision)

    async def _is_due(
        self, agent: str, truths: Sequence[Truth], newest: Learned | None, now: datetime
    ) -> bool:
        there = len(truths), sum(truth.by_people for truth in truths)
        known = (newest.labels, newest.by_people) if newest else (0, 0)
        if any(told >= max(LEAST_LABELS, GROWN * then) for told, then in zip(there, known, strict=True)):
            now_tried = (newest.version if newest else "", *there)
            before, self._tried[agent] = self._tried.get(agent), now_tried
            return before != now_tried
        if newest and (newest.labels or now - newest.learned_at < OLD):
            return False
        return len(await verdicts.newest(self._db, agent, LEAST_RUNS)) >= LEAST_RUNS

    async def _decision(self, detector: Detector, now: datetime) -> Decision:
        adopted, reason = await self._may_judge(detector)
        return Decision(
            agent=detector.agent,
            decision_id=stable_id("detector", detector.agent, detector.version),
            version=detector.version,
            adopted=adopted,
            decided_by=TRIAGE,
            reason=reason,
            decided_at=now,
        )

    async def _may_judge(self, detector: Detector) -> tuple[bool, str]:
        agent = detector.agent
        adopted = [d for d in await detectors.decisions(self._db, agent) if d.adopted]
        if adopted and adopted[0].version == RULES:
            return False, f"{adopted[0].decided_by} has chosen the rules: a person has to choose another"
        if not detector.taught.changes_verdicts:
            return True, f"verdicts are those of {DETECTOR}; runs are remembered, to compare others with"
        if self._adopts == "ask":
            return False, f"OUTERLOOP_TRIAGE_ADOPTS says to ask: {detector.taught.measured.said()}"
        told = [e.failed for e in detector.examples.values() if e.by_people]
        if min(sum(told), len(told) - sum(told)) < LEAST_OF_EACH:
            few = f"people have labelled {len(told) - sum(told)} good and {sum(told)} bad"
            return False, f"{few}, {LEAST_OF_EACH} of each are needed to tell whether it is right"
        current = await Panels(self._db).of_version(agent, adopted[0].version if adopted else RULES)
        return may_replace(*await asyncio.to_thread(_measured, detector, current))


async def learned_now(db: ClickHouse, agent: str) -> Detector:
    """The detector that all labels there are by now would make; nothing is kept of it."""
    return await _learn(db, agent, await labels.truths(db, agent), _newest(await _of_these_rules(db, agent)))


async def _of_these_rules(db: ClickHouse, agent: str) -> list[Learned]:
    return [d for d in await detectors.of_agent(db, agent) if d.version.startswith(f"{DETECTOR}+")]


def _newest(known: Sequence[Learned]) -> Learned | None:
    return known[0] if known else None


async def _learn(db: ClickHouse, agent: str, truths: Sequence[Truth], before: Learned | None) -> Detector:
    detector = Detector(agent)
    detector.keep(reversed(await _runs(db, await verdicts.newest(db, agent, MEMORY))))
    if len(truths) < LEAST_LABELS:
        return detector
    kept = await _known(db, agent, before)
    new = [t.trace_id for t in truths if t.trace_id not in kept]
    runs = {run.trace_id: run for run in await _runs(db, new)} | kept
    detector.learn(Example(runs[t.trace_id], not t.good, t.source) for t in truths if t.trace_id in runs)
    await asyncio.to_thread(lambda: detector.taught)
    return detector


async def _known(db: ClickHouse, agent: str, before: Learned | None) -> dict[str, Seen]:
    state = await detectors.state(db, agent, before.version) if before else None
    if state is None:
        return {}
    earlier = await asyncio.to_thread(Detector.from_json, state)
    return {trace_id: example.run for trace_id, example in earlier.examples.items()}


async def _runs(db: ClickHouse, trace_ids: Sequence[str]) -> list[Seen]:
    """What is kept of these traces, in their order; of those that are stored."""
    runs: list[Seen] = []
    for start in range(0, len(trace_ids), _AT_ONCE):
        part = trace_ids[start : start + _AT_ONCE]
        traces = await spans.traces(db, part)
        there = [traces[trace_id] for trace_id in part if trace_id in traces]
        runs += await asyncio.to_thread(_read, there)
    return runs


def _read(traces: Sequence[Trace]) -> list[Seen]:
    return [read(trace).run for trace in traces]


def _measured(new: Detector, old: Detector) -> tuple[Measured, Measured]:
    """Two detectors on the traces that people have labelled, each by what it was not taught by them."""
    told = {i: example for i, example in new.examples.items() if example.by_people}
    calls = dict(zip(told, old.calls([e.run for e in told.values()]), strict=True)) | {
        i: called for i, called in old.taught.called.items() if i in told
    }
    return (
        Measured.of((new.taught.called[i], e.failed) for i, e in told.items()),
        Measured.of((calls[i], e.failed) for i, e in told.items()),
    )


def _row(detector: Detector, now: datetime) -> Learned:
    taught = detector.taught
    return Learned(
        agent=detector.agent,
        version=detector.version,
        detector=detector.name,
        ready=taught.ready,
        labels=len(detector.examples),
        good=sum(not example.failed for example in detector.examples.values()),
        by_people=sum(example.by_people for example in detector.examples.values()),
        called=taught.measured.called,
        right=taught.measured.right,
        missed=taught.measured.missed,
        rules_called=taught.rules.called,
        rules_right=taught.rules.right,
        rules_missed=taught.rules.missed,
        learned_at=now,
    )
