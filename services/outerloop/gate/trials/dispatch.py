"""Dispatch: the judging replica's side of trials that any replica runs.

A trial is asked for with `TrialRequested`, and its record is found in ClickHouse, where the worker puts it
before it publishes `TrialFinished`. That event only says when to look: one that is missed costs LOOK_SECONDS.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from outerloop.contracts.v1.trial_pb2 import TrialFinished, TrialRequested
from outerloop.gate.core.case import Trial
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Bench
from outerloop.gate.trials.runner import trial_id
from outerloop.gate.trials.terms import terms_sha256
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, stable_id, unpack
from outerloop.runtime.errors import OutageError, PoisonError, TrialNotRunError
from outerloop.runtime.topics import topic_of
from outerloop.store import trials
from outerloop.store.trials import TrialRecord
from outerloop.trial.backend import limits_of

log = logging.getLogger(__name__)

FINISHED = topic_of(TrialFinished).name
# On the embedded broker a quarter of it is added to what a trial takes, twice; on Kafka nothing.
PROMPT_MS = 100
LOOK_SECONDS = 2.0
TELL_SECONDS = 60.0
# A trial is asked for again after so many times of what one may take; then after twice as long, and so on.
PATIENCE = 5
_SLACK_SECONDS = 60.0
ATTEMPTS_KEPT = 10_000


@dataclass(slots=True, eq=False)
class _Asked:
    """A trial that is waited for; times are those of `time.monotonic`."""

    request: TrialRequested
    record: asyncio.Future[TrialRecord]
    since: float
    patience: float
    again_at: float


class Dispatch:
    """A `Runner` whose trials are run by the workers of the consumer group. `watch` must run beside it."""

    def __init__(self, settings: GateSettings, bus: Bus, db: ClickHouse) -> None:
        limits = limits_of(settings)
        self._patience = PATIENCE * (limits.seconds + limits.start_seconds + _SLACK_SECONDS)
        self._terms = terms_sha256(settings)
        self._bus = bus
        self._db = db
        self._asked: set[_Asked] = set()
        # By trial: one that did not happen is asked for under the next number. Of those given up, some stay.
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._news = asyncio.Event()
        self._told = time.monotonic()
        bus.listen((FINISHED,), self.hear, wait_ms=PROMPT_MS)

    async def run(self, bench: Bench, trial: Trial) -> TrialRecord:
        """See `Runner`. Also raises OutageError, when Kafka does not take the request."""
        now = time.monotonic()
        future = asyncio.get_running_loop().create_future()
        asked = _Asked(_request(bench, trial, self._terms), future, now, self._patience, now + self._patience)
        self._asked.add(asked)
        metrics.TRIALS_WAITING.set(len(self._asked))
        try:
            await self._ask(asked.request)
            record = await asked.record
        finally:
            self._asked.remove(asked)
            metrics.TRIALS_WAITING.set(len(self._asked))
        self._attempts.pop(asked.request.trial_id, None)
        return record

    def hear(self, delivery: Delivery) -> None:
        """Take a TrialFinished: have `watch` look for the record, or tell who waits that there is none."""
        try:
            finished = unpack(delivery, TrialFinished)
        except PoisonError as error:
            log.warning("%s", error)
            return
        asked = [a for a in self._asked if a.request.trial_id == finished.trial_id and not a.record.done()]
        if asked and not finished.not_run:
            self._news.set()
        for each in asked:
            if finished.not_run and finished.attempt == each.request.attempt:
                each.record.set_exception(TrialNotRunError(finished.not_run))

    async def watch(self) -> None:
        """For ever: look for the records that are waited for, at every event and every LOOK_SECONDS."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            self._news.clear()
            try:
                await self._look()
            except OutageError as outage:
                log.warning("trials wait: %s", outage)
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        if self._asked:
            series = {asked.request.series for asked in self._asked}
            wanted = {asked.request.trial_id for asked in self._asked}
            found = {record.trial_id: record for record in await trials.found(self._db, series, wanted)}
            for asked in self._asked:
                if asked.request.trial_id in found and not asked.record.done():
                    asked.record.set_result(found[asked.request.trial_id])
        waiting = [asked for asked in self._asked if not asked.record.done()]
        self._tell(waiting)
        for asked in waiting:
            if time.monotonic() >= asked.again_at:
                asked.patience *= 2
                asked.again_at = time.monotonic() + asked.patience
                await self._ask(asked.request)

    def _tell(self, waiting: list[_Asked]) -> None:
        now = time.monotonic()
        longest = min(waiting, key=lambda asked: asked.since, default=None)
        metrics.TRIAL_WAIT.set(now - longest.since if longest else 0)
        if longest is None or now - max(longest.since, self._told) < TELL_SECONDS:
            return
        self._told = now
        request, seconds = longest.request, now - longest.since
        log.info(
            "%d trials are waited for; number %d of eval %s for %s, asked for %d times, for %.0f s",
            len(waiting),
            request.number,
            request.eval_id,
            request.agent,
            request.attempt,
            seconds,
        )

    async def _ask(self, request: TrialRequested) -> None:
        request.attempt = self._attempts[request.trial_id] = self._attempts.pop(request.trial_id, 0) + 1
        if len(self._attempts) > ATTEMPTS_KEPT:
            self._attempts.popitem(last=False)
        # The key: another attempt comes to another worker, most likely.
        request.request_id = stable_id(request.trial_id, request.attempt)
        request.requested_at.FromDatetime(datetime.now(UTC))
        await self._bus.publish(request, because=(request.trial_id, request.attempt))


def _request(bench: Bench, trial: Trial, terms: str) -> TrialRequested:
    return TrialRequested(
        trial_id=trial_id(bench.series, trial),
        series=bench.series,
        agent=bench.agentfile.agent,
        eval_id=trial.eval_id,
        eval_sha256=bench.contents[trial.eval_id],
        number=trial.index,
        variant=trial.variant,
        base_commit=bench.base_commit,
        suite_commit=bench.suite_commit,
        change_id=bench.change_id,
        tree=bench.tree,
        terms_sha256=terms,
    )
