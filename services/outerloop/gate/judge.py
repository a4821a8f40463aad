"""One change before the gate, from its patch to a verdict that is shipped or not."""

import hashlib
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC
from importlib.metadata import version
from pathlib import Path

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_TESTS,
    VERDICT_SHIP,
    DecisionReached,
)
from outerloop.evals.model import content_sha256
from outerloop.evals.suite import Entry, Suite
from outerloop.gate import says
from outerloop.gate.candidate import Candidate, Refused, prepare
from outerloop.gate.checks import failing_tests
from outerloop.gate.core.certificate import Certificate, Evidence
from outerloop.gate.core.decide import Asked, Deliberation, Ruling
from outerloop.gate.settings import GateSettings
from outerloop.gate.ship import already_shipped, ship, whole_suite
from outerloop.gate.trials import Bench, Trials
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.git import RefMovedError, Repository
from outerloop.store import decisions
from outerloop.store.decisions import TrialRecord
from outerloop.trial.backend import check_limits_of, limits_of, sandbox_of

log = logging.getLogger(__name__)

GATE_VERSION = f"outerloop {version('outerloop')}; rule passes-of-trials/1"
# Each time the branch moved meanwhile the change is gated again on what it moved to.
MOVES = 10


class Judge:
    """Judges changes; keeps nothing between them."""

    def __init__(self, settings: GateSettings, db: ClickHouse) -> None:
        self._settings = settings
        self._db = db
        self._sandbox = sandbox_of(settings)
        self._trials = Trials(settings, self._sandbox, db)

    async def judge(
        self, repository: Repository, branch: str, change: ChangeProposed, new: Entry
    ) -> DecisionReached | None:
        """The decision on `change`, which is to pass `new` and every earlier eval; shipped if it does.

        None when another replica has reached one meanwhile, which happens while Kafka moves partitions.

        Raises:
            OutageError: when the remote, the model or the sandbox is away. What was found out is kept.
            UserError: when the repository is not as it must be.
        """
        for _ in range(MOVES):
            await repository.fetch()
            if shipped := await already_shipped(repository, change.change_id):
                return says.recovered(change, shipped)
            try:
                decision = await self._judge(repository, branch, change, new)
            except RefMovedError as moved:
                log.info("the branch moved while change %s was judged; again: %s", change.change_id, moved)
                continue
            if decision is not None and decision.verdict != VERDICT_SHIP:
                await repository.fetch()
                if shipped := await already_shipped(repository, change.change_id):
                    return says.recovered(change, shipped)
            return decision
        raise OutageError(f"{branch} of {change.agent} moved {MOVES} times while a change was judged")

    async def _judge(
        self, repository: Repository, branch: str, change: ChangeProposed, new: Entry
    ) -> DecisionReached | None:
        suite = await whole_suite(repository)
        candidate = await prepare(
            repository, change, branch=branch, suite_commit=suite.commit, court=self._court(new)
        )
        if isinstance(candidate, Refused):
            return says.decision(
                change, candidate, suite, obstacle=candidate.obstacle, reason=candidate.reason
            )
        with tempfile.TemporaryDirectory(prefix="gate-", ignore_cleanup_errors=True) as scratch:
            bench = await self._bench(repository, candidate, Path(scratch), [new, *suite.priors(new.eval.id)])
            if failing := await failing_tests(bench, self._settings, self._sandbox):
                return says.decision(change, candidate, suite, obstacle=OBSTACLE_TESTS, reason=failing)
            asked = [Asked(e.eval.id, e.eval.trials, e.eval.passes) for e in bench.entries.values()]
            ruling, records = await self._trials.deliberate(bench, Deliberation(asked))
        outcomes = says.outcomes(ruling, bench, records)
        if not ruling.ships:
            return says.rejection(change, candidate, suite, ruling, outcomes)
        if await decisions.decided(self._db, change.change_id):
            return None
        certificate = self._certificate(change, candidate, suite, new, (ruling, bench, records))
        shipped = await ship(
            repository,
            branch=branch,
            certificate=certificate,
            suite=suite,
            entry=new,
            diagnosis=change.diagnosis,
            when=change.proposed_at.ToDatetime(UTC),
        )
        return says.with_release(says.decision(change, candidate, suite, outcomes=outcomes), shipped)

    def _court(self, new: Entry) -> str:
        """A hash over what a verdict depends on besides the change, the head and the suite."""
        said = {
            "gate": GATE_VERSION,
            "eval": content_sha256(new.eval, new.cassette),
            "sandbox": self._settings.sandbox,
            "model": self._settings.anthropic_base_url,
            "model_calls": self._settings.gate_model_calls,
            "trial": asdict(limits_of(self._settings)),
            "checks": asdict(check_limits_of(self._settings)),
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    async def _bench(
        self, repository: Repository, candidate: Candidate, scratch: Path, entries: Sequence[Entry]
    ) -> Bench:
        changed, base = scratch / "candidate", scratch / "base"
        await repository.checkout(candidate.tree, changed)
        await repository.checkout(candidate.head, base)
        return Bench(
            decision_id=candidate.decision_id,
            version=candidate.tree,
            agentfile=candidate.agentfile,
            candidate=changed,
            tools=base,
            entries={entry.eval.id: entry for entry in entries},
        )

    def _certificate(
        self,
        change: ChangeProposed,
        candidate: Candidate,
        suite: Suite,
        new: Entry,
        proof: tuple[Ruling, Bench, list[TrialRecord]],
    ) -> Certificate:
        ruling, bench, records = proof
        return Certificate(
            decision_id=candidate.decision_id,
            agent=change.agent,
            mode_id=change.mode_id,
            eval_id=new.eval.id,
            change_id=change.change_id,
            base_commit=candidate.head,
            patch_sha256=candidate.patch_sha256,
            candidate_tree=candidate.tree,
            suite_commit=suite.commit,
            suite_sha256=suite.sha256,
            evidence=tuple(
                Evidence(
                    eval_id=outcome.eval_id,
                    content_sha256=content_sha256(entry.eval, entry.cassette),
                    asked_trials=entry.eval.trials,
                    asked_passes=entry.eval.passes,
                    trials=outcome.trials,
                    passed=outcome.passed,
                )
                for outcome in ruling.outcomes
                for entry in [bench.entries[outcome.eval_id]]
            ),
            sandbox=self._settings.sandbox,
            models=tuple(sorted({model for record in records for model in record.models})),
            proposed_by=change.model,
            input_tokens=sum(r.input_tokens for r in records),
            output_tokens=sum(r.output_tokens for r in records),
            seconds=round(sum(r.seconds for r in records), 3),
            gate_version=GATE_VERSION,
            previous=suite.last_certificate,
        )
