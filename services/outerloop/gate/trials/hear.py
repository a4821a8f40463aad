"""Trials: has the trials made that a court asks for, several at once, until it has heard enough."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from outerloop.gate.core.case import Trial
from outerloop.gate.trials.bench import Bench, Records, Runner, Subject
from outerloop.gate.trials.purse import Purse
from outerloop.gate.trials.sittings import ONE, Sittings
from outerloop.gate.trials.waiting import WaitError
from outerloop.runtime import metrics
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import OutageError, OuterloopError, TrialNotRunError
from outerloop.store.trials import TrialRecord

log = logging.getLogger(__name__)

# So many trials in a row that did not happen are an outage of what they need.
LOST_IN_A_ROW = 5
# A candidate may void so many of its trials, and this share of those that count, while the base's happen.
VOIDS, VOID_SHARE = 3, 0.05


class VoidError(OuterloopError):
    """Trials of a candidate do not happen, again and again, and it is nobody else's doing."""


class Court(Protocol):
    """Whoever asks for trials: see `core.confirmation` and `core.base`."""

    def next_trial(self) -> object:
        """A `Trial` to start now; anything else: there is none for now."""
        ...

    def started(self, trial: Trial) -> None:
        """The trial runs now."""
        ...

    def finished(self, trial: Trial, *, passed: bool) -> None:
        """The trial ran, and passed or not."""
        ...

    def lost(self, trial: Trial) -> None:
        """The trial did not happen."""
        ...


class Trials:
    """Trials by one `runner`, at most `at_once` under way. What is on record is never run again."""

    def __init__(
        self, runner: Runner, records: Records, purse: Purse, sittings: Sittings = ONE, *, at_once: int
    ) -> None:
        self._runner = runner
        self._records = records
        self._purse = purse
        self._sittings = sittings
        self._at_once = at_once
        self._lost = 0

    async def hear(
        self, bench: Bench, court: Court, over: Callable[[], bool], heard: list[TrialRecord]
    ) -> None:
        """Tell the court what `heard` says, then run what it asks for until it is `over`.

        `heard` is every trial of the bench's series that was run (see `on_record`); the new ones are added.

        Raises:
            OutageError: when trials cannot be run; what was run is on record and counts when it goes on.
            WaitError: when no more may be spent today, or the next sitting is later; the same holds.
            VoidError: when it is the candidate whose trials do not happen.
        """
        for record in heard:
            if record.eval_id in bench.entries:
                trial = Trial(record.eval_id, record.number, record.variant)
                court.started(trial)
                court.finished(trial, passed=record.passed)
        running: dict[asyncio.Task[TrialRecord], Trial] = {}
        voids = await self._records.of(_voided(bench.series)) if bench.subject is Subject.CANDIDATE else []
        try:
            while not over():
                _check_voids(voids, heard)
                step = court.next_trial() if len(running) < self._at_once else None
                if isinstance(step, Trial):
                    await self._leave(bench, step, heard, running)
                    court.started(step)
                    running[asyncio.ensure_future(self._runner.run(bench, step))] = step
                else:
                    for lost in await self._collect(running, court, heard):
                        await self._account_for(bench, *lost, voids)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _leave(
        self,
        bench: Bench,
        trial: Trial,
        heard: Sequence[TrialRecord],
        running: Iterable[asyncio.Task[TrialRecord]],
    ) -> None:
        try:
            await self._purse.check()
            if bench.subject is Subject.CANDIDATE:
                self._sittings.check(trial, heard)
        except WaitError:
            await asyncio.gather(*running, return_exceptions=True)  # paid for: let them be recorded
            raise

    async def on_record(self, series: str) -> list[TrialRecord]:
        """The trials of a series that were run already."""
        return await self._records.of(series)

    async def _collect(
        self, running: dict[asyncio.Task[TrialRecord], Trial], court: Court, heard: list[TrialRecord]
    ) -> list[tuple[Trial, TrialNotRunError]]:
        """Take in what has ended; gives the trials that did not happen."""
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        lost: list[tuple[Trial, TrialNotRunError]] = []
        for task in done:
            trial = running.pop(task)
            try:
                record = task.result()
            except TrialNotRunError as error:
                court.lost(trial)
                self._count_lost(error)
                lost.append((trial, error))
                continue
            self._lost = 0
            metrics.TRIALS.labels("passed" if record.passed else "failed").inc()
            court.finished(trial, passed=record.passed)
            heard.append(record)
        return lost

    async def _account_for(
        self, bench: Bench, trial: Trial, error: TrialNotRunError, voids: list[TrialRecord]
    ) -> None:
        """Find out whose doing it is that a trial of the candidate did not happen: does one of the base?

        An agent that sees itself fail could make its calls fail too, and be tried again until it passes.
        """
        if bench.subject is not Subject.CANDIDATE:
            return
        number = len(voids)
        control = replace(
            bench,
            series=stable_id("control", bench.series),
            subject=Subject.BASE,
            tree=bench.base_tree,
            change_id="",
        )
        try:
            record = await self._runner.run(control, Trial(trial.eval_id, number))
        except TrialNotRunError as outage:
            self._count_lost(outage)
            return
        void = replace(
            record,
            trial_id=stable_id("void", bench.series, number),
            decision_id=_voided(bench.series),
            subject=Subject.CANDIDATE.value,
            number=number,
            passed=False,
            reasons=(str(error),),
        )
        voids.append(await self._records.add(void))

    def _count_lost(self, error: TrialNotRunError) -> None:
        metrics.TRIALS.labels("not run").inc()
        log.warning("a trial did not happen: %s", error)
        self._lost += 1
        if self._lost >= LOST_IN_A_ROW:
            self._lost = 0
            raise OutageError(f"{LOST_IN_A_ROW} trials in a row did not happen; the last: {error}") from error


def _voided(series: str) -> str:
    """The series in which it is kept that trials of the candidate did not happen while the base's did."""
    return stable_id("voided", series)


def _check_voids(voids: Sequence[TrialRecord], heard: Sequence[TrialRecord]) -> None:
    if len(voids) > VOIDS + VOID_SHARE * len(heard):
        raise VoidError(
            f"{len(voids)} trials of the change did not happen while trials of the base did, and {len(heard)}"
            f" happened; the last: {'; '.join(voids[-1].reasons)}"
        )
