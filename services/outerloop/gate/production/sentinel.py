"""Sentinel: daily trials of what production runs, to notice a provider that changes a model under its name.

Consumes  nothing: once a day the replica that holds an agent draws some evals and runs them on the release.
Produces  `ReleaseWatched` with FINDING_DRIFTED, when a stratum of evals is proven to have become worse.
Owns      the table sentinel_days.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.release_pb2 import FINDING_DRIFTED, ReleaseWatched
from outerloop.gate.core.case import Trial
from outerloop.gate.core.drift import Stratum
from outerloop.gate.core.once import Once
from outerloop.gate.core.sentinel import Detector, drawn, watched
from outerloop.gate.court.candidate import Candidate
from outerloop.gate.court.matter import Matter, matter_of
from outerloop.gate.court.rows import Rows
from outerloop.gate.release.ship import whole_suite
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.agent import terms_at
from outerloop.gate.trials.bench import Runner, Subject
from outerloop.gate.trials.hear import Trials
from outerloop.gate.trials.terms import terms_sha256
from outerloop.gate.trials.waiting import WaitError
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.git import Repository
from outerloop.runtime.lookout import look_out
from outerloop.runtime.pause import Why, never
from outerloop.runtime.topics import topic_of
from outerloop.store import sentinel
from outerloop.store.sentinel import Day

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """A stratum with the ids of its evals, and which of them are drawn today."""

    stratum: Stratum
    drawn: tuple[str, ...]


class Sentinel:
    """The sentinel; `look` runs beside the gate's handlers, unless `gate_sentinel_trials` is 0."""

    def __init__(
        self, settings: GateSettings, bus: Bus, db: ClickHouse, runner: Runner, paused: Why = never
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._rows = Rows(db, paused)
        self._runner = runner
        for agent in settings.repositories():  # from zero, so that the first alarm is a rise
            metrics.SENTINEL_ALARMS.labels(agent)

    async def look(self) -> None:
        """Look after the agents that this replica holds, for as long as the service lives."""
        topic = topic_of(ChangeProposed).name
        await look_out(self._bus, topic, self._settings.repositories(), self.look_at)

    async def look_at(self, agent: str) -> None:
        """Run today's trials of an agent, if that was not done."""
        today = datetime.now(UTC).date()
        before = await sentinel.latest(self._db, agent)
        if any(day.day == today for day in before.values()):
            return
        url, branch = self._settings.repositories()[agent]
        repository = await Repository.open(url, self._settings.cache / "sentinel" / agent)
        head = await repository.resolve(branch)
        if head is None:
            return
        terms = terms_sha256(self._settings)
        suite = await whole_suite(repository)
        agentfile = await terms_at(repository, head, agent, branch)
        candidate = Candidate("", head, await repository.tree_of(head), "", agentfile)
        matter = await matter_of(repository, ChangeProposed(agent=agent), candidate, suite, None, terms=terms)
        parts = self._parts(matter, today)
        try:
            passed = await self._try(matter, parts, today)
        except WaitError as wait:
            log.info("the sentinel of %s waits: %s", agent, wait)
            return
        days = [self._day(matter, part, passed, before.get(part.stratum.name), today) for part in parts]
        for day in days:
            if day.alarm:
                await self._alarm(day)
        await sentinel.insert(self._db, days)

    def _parts(self, matter: Matter, today: date) -> list[_Stratum]:
        ids = sorted(matter.priors)
        count = self._settings.gate_sentinel_trials
        return [
            _Stratum(
                stratum, tuple(drawn([ids[i] for i in stratum.members], count, matter.change.agent, today))
            )
            for stratum in watched([matter.standings[eval_id].anchor for eval_id in ids])
        ]

    async def _try(self, matter: Matter, parts: Sequence[_Stratum], today: date) -> Mapping[str, bool]:
        """Whether each drawn eval passes today."""
        chosen = [eval_id for part in parts for eval_id in part.drawn]
        bench = replace(
            matter.bench(
                stable_id("sentinel", matter.change.agent, today.isoformat(), matter.candidate.head)
            ),
            subject=Subject.BASE,
            # No others: what was drawn earlier today, under another setting, is on record too.
            entries={eval_id: matter.priors[eval_id] for eval_id in chosen},
        )
        court = Once([Trial(eval_id, 0) for eval_id in chosen])
        trials = Trials(
            self._runner,
            self._rows,
            self._rows.purse(matter.candidate.agentfile),
            at_once=self._settings.gate_trials_ahead,
        )
        heard = await trials.on_record(bench.series)
        await trials.hear(bench, court, lambda: court.done, heard)
        return {record.eval_id: record.passed for record in heard}

    def _day(
        self, matter: Matter, part: _Stratum, passed: Mapping[str, bool], before: Day | None, today: date
    ) -> Day:
        passes = sum(passed[eval_id] for eval_id in part.drawn)
        new = _detector(before).after(part.stratum.bet, passes, len(part.drawn) - passes)
        return Day(
            agent=matter.change.agent,
            day=today,
            stratum=part.stratum.name,
            commit=matter.candidate.head,
            passed=passes,
            trials=len(part.drawn),
            evidence=new.values,
            days=new.days,
            alarm=new.alarm,
            at=datetime.now(UTC),
        )

    async def _alarm(self, day: Day) -> None:
        reason = (
            f"the {day.stratum} evals of {day.agent} pass less often than at their closing, which no release"
            f" explains ({day.passed} of {day.trials} today): has the provider changed the model?"
        )
        log.warning("%s", reason)
        metrics.SENTINEL_ALARMS.labels(day.agent).inc()
        message = ReleaseWatched(
            agent=day.agent,
            shipped_commit=day.commit,
            finding=FINDING_DRIFTED,
            subject=day.stratum,
            reason=reason,
            traces=day.trials,
            failures=day.trials - day.passed,
        )
        message.found_at.FromDatetime(day.at)
        await self._bus.publish(message, because=(day.agent, day.stratum, day.day.isoformat()))


def _detector(before: Day | None) -> Detector:
    """As it was after its last day; a new one after an alarm, which a person looks into."""
    if before is None or before.alarm:
        return Detector()
    small, middle, large = before.evidence
    return Detector((small, middle, large), before.days)
