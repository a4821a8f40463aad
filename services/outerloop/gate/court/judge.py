"""One change before the gate, from its patch to a verdict that is shipped or not."""

import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import OBSTACLE_TESTS, OBSTACLE_VOID, VERDICT_SHIP
from outerloop.evals.suite import Entry
from outerloop.gate.court import says
from outerloop.gate.court.candidate import Candidate, Refused, prepare
from outerloop.gate.court.checks import failing_tests
from outerloop.gate.court.hearing import Heard, Hearing
from outerloop.gate.court.matter import Matter, matter_of
from outerloop.gate.court.merge import Merge
from outerloop.gate.court.proof import certificate_of
from outerloop.gate.court.rows import Docket
from outerloop.gate.court.says import Judged
from outerloop.gate.court.series import series_of, unspent
from outerloop.gate.release.ship import already_shipped, ship, whole_suite
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Records, Runner
from outerloop.gate.trials.hear import Trials, VoidError
from outerloop.gate.trials.runner import Checkouts
from outerloop.gate.trials.sittings import Sittings
from outerloop.gate.trials.terms import GATE_VERSION, terms_sha256
from outerloop.runtime.errors import OutageError
from outerloop.runtime.git import RefMovedError, Repository
from outerloop.trial.backend import isolation_of, sandbox_of

log = logging.getLogger(__name__)

# Each time the branch moved meanwhile the change is gated again on what it moved to.
MOVES = 10


class Judge:
    """Judges changes; keeps nothing between them.

    Args:
        settings: the gate's.
        docket: what became of changes before.
        records: where trials are kept.
        runner: makes who runs the trials, given the checkouts of one hearing.
    """

    def __init__(
        self,
        settings: GateSettings,
        docket: Docket,
        records: Records,
        runner: Callable[[Checkouts], Runner],
    ) -> None:
        self._settings = settings
        self._docket = docket
        self._records = records
        self._runner = runner
        self._sandbox = sandbox_of(settings)

    async def judge(
        self, repository: Repository, branch: str, change: ChangeProposed, new: Entry
    ) -> Judged | None:
        """The decision on `change`, which is to pass `new` and every earlier eval; shipped if it does.

        Where people merge, it waits for one of them once it is proven, and so for them to decide.

        None when another replica has reached one meanwhile, which happens while Kafka moves partitions.

        Raises:
            WaitError: when it goes on later: in the next sitting, or when a person has decided.
            OutageError: when the remote, the model or the sandbox is away. What was found out is kept.
            UserError: when the repository is not as it must be, or the error that the gate may make in its
                life is spent.
        """
        merge = Merge(self._settings, repository, branch, change, new)
        for _ in range(MOVES):
            await repository.fetch()
            if shipped := await already_shipped(repository, change.change_id):
                return says.recovered(change, shipped)
            try:
                judged = await merge.settled() or await self._judge(repository, branch, change, new, merge)
            except RefMovedError as moved:
                log.info("the branch moved while change %s was judged; again: %s", change.change_id, moved)
                continue
            if judged is not None and judged.decision.verdict != VERDICT_SHIP:
                await repository.fetch()
                if shipped := await already_shipped(repository, change.change_id):
                    return says.recovered(change, shipped)
                await merge.withdraw(judged.decision.reason)
            return judged
        raise OutageError(f"{branch} of {change.agent} moved {MOVES} times while a change was judged")

    async def _judge(
        self, repository: Repository, branch: str, change: ChangeProposed, new: Entry, merge: Merge
    ) -> Judged | None:
        suite = await whole_suite(repository)
        candidate = await prepare(
            repository, change, branch=branch, suite_commit=suite.commit, court=court_of(self._settings, new)
        )
        if isinstance(candidate, Refused):
            return Judged(
                says.decision(change, candidate, suite, obstacle=candidate.obstacle, reason=candidate.reason)
            )
        if _is_merged(candidate):
            merge.check()
        terms = terms_sha256(self._settings)
        matter = await matter_of(repository, change, candidate, suite, new, terms=terms)
        with tempfile.TemporaryDirectory(prefix="gate-", ignore_cleanup_errors=True) as scratch:
            checkouts = Checkouts(repository, Path(scratch))
            if failing := await failing_tests(candidate, checkouts, self._settings, self._sandbox):
                return Judged(
                    says.decision(change, candidate, suite, obstacle=OBSTACLE_TESTS, reason=failing)
                )
            try:
                heard = await self._hear(repository, matter, checkouts)
            except VoidError as void:
                return Judged(
                    says.decision(change, candidate, suite, obstacle=OBSTACLE_VOID, reason=str(void))
                )
        if not heard.ships:
            return Judged(says.verdict(matter, heard), heard.broken)
        if await self._docket.decided(change.change_id):
            return None
        return await self._release(repository, branch, matter, heard, merge)

    async def _release(
        self, repository: Repository, branch: str, matter: Matter, heard: Heard, merge: Merge
    ) -> Judged:
        change, sandbox = matter.change, isolation_of(self._settings)
        certificate = certificate_of(matter, heard, sandbox=sandbox, gate_version=GATE_VERSION)
        if _is_merged(matter.candidate):
            return await merge.propose(certificate)
        await merge.withdraw("`release.mode` is push by now")
        assert matter.new is not None  # noqa: S101 - there is a certificate
        shipped = await ship(
            repository,
            branch=branch,
            certificate=certificate,
            suite=matter.suite,
            entry=matter.new,
            diagnosis=change.diagnosis,
            when=change.proposed_at.ToDatetime(UTC),
            key=self._settings.signing_key(),
        )
        return Judged(says.with_release(says.verdict(matter, heard), shipped), heard.broken)

    async def _hear(self, repository: Repository, matter: Matter, checkouts: Checkouts) -> Heard:
        change, candidate = matter.change, matter.candidate
        proposed_at = change.proposed_at.ToDatetime(UTC)
        known = matter.last.ledger_known if matter.last else ""
        series = await unspent(repository, self._records, series_of(matter.heard), known=known)
        hearing = Hearing(
            repository,
            Trials(
                self._runner(checkouts),
                self._records,
                self._docket.purse(candidate.agentfile),
                Sittings(self._settings.gate_sittings, timedelta(hours=self._settings.gate_sitting_hours)),
                at_once=self._settings.gate_trials_ahead,
            ),
            matter.bench(series),
            base_fingerprints=matter.base_fingerprints,
            when=proposed_at,
            ledger_known=known,
            key=self._settings.signing_key(),
        )
        return await hearing.hear(matter.case(await self._docket.past(change.agent, proposed_at), series))


def court_of(settings: GateSettings, new: Entry) -> str:
    """A hash over what a verdict depends on besides the change, the head and the suite."""
    return terms_sha256(settings, {"eval": new.content_sha256})


def _is_merged(candidate: Candidate) -> bool:
    return candidate.agentfile.release.mode == "pull_request"
