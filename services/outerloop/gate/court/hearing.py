"""Hearing: one candidate before the gate, from its screen to the verdict on every claim.

    screen           a few trials of the new eval that count for nothing: a hopeless change spends nothing
    reproduction     the base is proven to fail the new eval: there is something to mend
    reservation      the level α is reserved in the ledger, before a trial counts
    confirmation     every claim, to its verdict or the first one that is blocked

An earlier eval that blocks the change is tried on the base too. If the base fails it today, the world has
moved: the eval is left out and reopened, and the change is not charged with it. All that is asked is on
record, so that a hearing that was interrupted goes on where it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from outerloop.evals.suite import Entry
from outerloop.gate.core.base import BaseCheck, Finding, Reproduction
from outerloop.gate.core.case import Case, Kind, Outcome, Terms, Verdict
from outerloop.gate.core.certificate import Broken, Reproduced
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.spending import alpha_of
from outerloop.gate.release import ledger
from outerloop.gate.release.ledger import Reservation
from outerloop.gate.trials.bench import Bench, Subject
from outerloop.gate.trials.hear import Trials
from outerloop.gate.trials.waiting import WaitError
from outerloop.runtime import metrics
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.git import Repository, SigningKey
from outerloop.store.trials import TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of a hearing.

    `verdict` is on the claims; None when it did not come to that, because the base does not fail the new
    eval. `records` are all trials, those of the base included; the candidate's are of `series`. `reserved` is
    None when nothing was spent.
    """

    series: str
    verdict: Verdict | None
    records: list[TrialRecord]
    reserved: Reservation | None = None
    reproduced: Reproduced | None = None
    broken: tuple[Broken, ...] = ()

    @property
    def ships(self) -> bool:
        """Whether every claim is certified."""
        return self.verdict is not None and self.verdict.outcome is Outcome.SHIP


class Hearing:
    """Hears one candidate.

    Args:
        repository: keeps the ledger.
        trials: has trials made.
        bench: the candidate, with all evals of the case.
        base_fingerprints: by eval id, of what each eval of the bench depends on at the base.
        when: the time that the ledger's entries are given.
        ledger_known: a commit that the ledger must contain, "" before the first.
        ledger_ref: which ledger.
        key: what signs them.
    """

    def __init__(
        self,
        repository: Repository,
        trials: Trials,
        bench: Bench,
        *,
        base_fingerprints: Mapping[str, str],
        when: datetime,
        ledger_known: str,
        ledger_ref: str = ledger.REF,
        key: SigningKey | None = None,
    ) -> None:
        self._repository = repository
        self._trials = trials
        self._bench = bench
        self._base_fingerprints = base_fingerprints
        self._when = when
        self._ledger_known = ledger_known
        self._ledger_ref = ledger_ref
        self._key = key
        self._base_records: list[TrialRecord] = []

    async def hear(self, case: Case) -> Heard:
        """Come to a verdict on `case`, whose evals the bench holds.

        Raises:
            OutageError: when trials, or the remote that keeps the ledger, are away. What was run counts.
            SpentError: when the error of the gate's life is spent on failed confirmations.
        """
        records = await self._trials.on_record(self._bench.series)
        if (stopped := await self._screen(case, records)) is not None:
            return self._heard(stopped, records)
        reproduced = None
        if case.new is not None:
            entry = self._bench.entries[case.new.eval_id]
            check = Reproduction(case.new.eval_id, case.new.bar)
            reproduced = await self._on_base("reproduction", entry, check)
            if check.finding is not Finding.BROKEN:
                return self._heard(None, records, reproduced=reproduced)
        reserved = await ledger.reserve(
            self._repository,
            self._bench.series,
            when=self._when,
            known=self._ledger_known,
            ref=self._ledger_ref,
            key=self._key,
        )
        metrics.ERROR_LEFT.labels(self._bench.agentfile.agent).set(reserved.left)
        try:
            verdict, broken = await self._every_claim(case, Terms(alpha=reserved.alpha), records)
        except WaitError:
            await self._rest(records)
            raise
        heard = self._heard(verdict, records, reserved=reserved, reproduced=reproduced, broken=broken)
        if not heard.ships:
            await self._rest(records)
        return heard

    def _heard(self, verdict: Verdict | None, records: Sequence[TrialRecord], **more: Any) -> Heard:
        everything = [*records, *self._base_records]
        return Heard(series=self._bench.series, verdict=verdict, records=everything, **more)

    async def _rest(self, records: Sequence[TrialRecord]) -> None:
        """Have the ledger know how many trials there are: with fewer of them it is not taken up again."""
        ref, key = self._ledger_ref, self._key
        await ledger.rest(
            self._repository, self._bench.series, len(records), when=self._when, ref=ref, key=key
        )

    async def _every_claim(
        self, case: Case, terms: Terms, records: list[TrialRecord]
    ) -> tuple[Verdict, tuple[Broken, ...]]:
        broken: list[Broken] = []
        while True:
            verdict = await self._confirm(case, terms, records)
            stop = verdict.stop
            if verdict.outcome is not Outcome.REJECT or stop is None or stop.kind is not Kind.PRIOR:
                return verdict, tuple(broken)
            bar = next(claim.bar for claim in verdict.claims if claim.name == stop.name)
            entry, check = self._bench.entries[stop.name], BaseCheck(stop.name, bar, terms.alpha)
            shown = await self._on_base("base", entry, check)
            if check.finding is not Finding.BROKEN:
                return verdict, tuple(broken)
            counts = {"passed": shown.passed, "trials": shown.trials}
            content = self._bench.contents[stop.name]
            broken.append(Broken(eval_id=stop.name, content_sha256=content, **counts))
            case = case.without(stop.name)

    async def _screen(self, case: Case, records: list[TrialRecord]) -> Verdict | None:
        """The verdict if the screen stops the change."""
        court = Confirmation(case, Terms(alpha=alpha_of(1)))  # of any: it is not asked beyond the screen
        await self._trials.hear(
            _only(self._bench, case), court, lambda: court.screened or _ruled(court), records
        )
        step = court.next_trial()
        return step if isinstance(step, Verdict) and not court.screened else None

    async def _confirm(self, case: Case, terms: Terms, records: list[TrialRecord]) -> Verdict:
        court = Confirmation(case, terms)
        await self._trials.hear(_only(self._bench, case), court, lambda: _ruled(court), records)
        verdict = court.next_trial()
        assert isinstance(verdict, Verdict)  # noqa: S101 - it is over
        return verdict

    async def _on_base(self, question: str, entry: Entry, check: Reproduction | BaseCheck) -> Reproduced:
        """Ask the base; the answer is in `check`, and what it was given by.

        What was asked of an earlier base is not asked again if the eval has the same fingerprint there.
        """
        series = stable_id(question, self._base_fingerprints[entry.eval.id])
        base = replace(
            self._bench,
            series=series,
            subject=Subject.BASE,
            tree=self._bench.base_tree,
            change_id="",
            entries={entry.eval.id: entry},
        )
        records = await self._trials.on_record(series)
        await self._trials.hear(base, check, lambda: check.finding is not None, records)
        self._base_records += records
        return Reproduced(commit=base.base_commit, passed=check.passed, trials=check.trials)


def _ruled(court: Confirmation) -> bool:
    return isinstance(court.next_trial(), Verdict)


def _only(bench: Bench, case: Case) -> Bench:
    """The bench with the evals of the case alone."""
    new = [case.new.eval_id] if case.new else []
    ids = [*new, *(prior.eval_id for prior in case.priors)]
    entries: Mapping[str, Entry] = {eval_id: bench.entries[eval_id] for eval_id in ids}
    return replace(bench, entries=entries)
