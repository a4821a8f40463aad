"""Base: the head of an agent's release branch, run again on a draft: it must fail it."""

import logging
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from outerloop.draft.core.reproduction import Asked, asking
from outerloop.draft.settings import DraftSettings
from outerloop.evals.heldout import HeldOut
from outerloop.evals.suite import Entry
from outerloop.runtime.agentfile import AgentFile, Budget, agentfile_at
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.pause import Why, never
from outerloop.store import drafting, heldout
from outerloop.store.drafting import DraftCall
from outerloop.store.evals import EvalRecord
from outerloop.store.spending import spent_usd, today
from outerloop.trial.backend import sandbox_of
from outerloop.trial.committed import spec_of
from outerloop.trial.run import Trial, TrialSpec, fresh_nonce, run_trial
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.silence import does_not_run

log = logging.getLogger(__name__)

# So many trials in a row that did not happen are an outage.
LOST_IN_A_ROW = 3
# So many first ones without a trace: the agent does not run here, which is no failure of its own.
SILENT = 3
# A variant that is not seen to fail by then is none that a change could be held to.
VARIANT_TRIALS = 30
_FOUND = {True: "reproduced", False: "not reproduced", None: "not finished"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the trials of a commit showed, and what its `outerloop.yaml` says.

    `entry` is the eval with those of its held-out variants that the commit is proven to fail too.
    """

    commit: str
    terms: AgentFile
    asked: Asked
    entry: Entry


class Base:
    """Runs the base of any agent whose repository the settings name."""

    def __init__(self, settings: DraftSettings, db: ClickHouse, paused: Why = never) -> None:
        self._settings = settings
        self._db = db
        self.paused = paused
        self._sandbox: Sandbox | None = None

    def can_ask(self, agent: str) -> bool:
        """Whether there is a base to run."""
        return self._settings.draft_trials > 0 and agent in self._settings.repositories()

    async def can_pay(self, agent: str) -> bool:
        """Whether today's budget of an agent (the default, without a repository) allows a call of the model.

        Not while the agent is paused.

        Raises:
            OutageError: when the repository or ClickHouse is away.
        """
        if await self.paused(agent):
            return False
        budget, models = Budget(), list[str]()
        if agent in self._settings.repositories():
            try:
                _, _, terms = await self._head(agent)
                budget, models = terms.budget, list(terms.models.values())
            except UserError as error:
                log.warning("%s: its budget is taken to be the default: %s", agent, error)
        return await spent_usd(self._db, agent, models, today()) < budget.usd_per_day

    async def ask(self, record: EvalRecord) -> Shown:
        """Run the base until it is proven to fail the eval, or not to.

        Raises:
            OutageError: when repository, sandbox, model or ClickHouse is away, or today's budget is spent.
            UserError: when a person must see to the repository or the settings first, or to what keeps the
                agent from running here.
        """
        repository, commit, terms = await self._head(record.agent)
        await self._check_budget(terms)
        with tempfile.TemporaryDirectory(prefix="draft-", ignore_cleanup_errors=True) as scratch:
            tree = Path(scratch) / "tree"
            await repository.checkout(commit, tree)
            entry = await heldout.entry_of(self._db, record)
            spec = await spec_of(entry, commit, terms, tree, self._settings)
            asked = await self._run(record, spec, self._settings.draft_trials)
            if asked.reproduced:
                entry = await self._failed_too(record, entry, spec)
            return Shown(commit, terms, asked, entry)

    async def _failed_too(self, record: EvalRecord, entry: Entry, spec: TrialSpec) -> Entry:
        """Without the variants that the base passes, or fails too seldom to tell: not of this failure."""
        kept: list[HeldOut] = []
        for number, held in enumerate(entry.held_out, start=1):
            tried = replace(spec, eval=held.of(entry.eval), cassette=held.cassette)
            most = min(VARIANT_TRIALS, self._settings.draft_trials)
            if (await self._run(record, tried, most, f"variant {number}")).reproduced:
                kept.append(held)
        return replace(entry, held_out=tuple(kept))

    async def _head(self, agent: str) -> tuple[Repository, str, AgentFile]:
        """The repository of an agent, the head of its release branch, and what its `outerloop.yaml` says."""
        url, branch = self._settings.repositories()[agent]
        repository = await Repository.open(url, self._settings.cache / "draft" / agent)
        commit = await repository.resolve(branch)
        if commit is None:
            raise UserError(f"the repository of {agent} has no branch {branch}: push the agent to it")
        return repository, commit, await agentfile_at(repository, commit)

    async def _run(self, record: EvalRecord, spec: TrialSpec, most: int, of: str = "") -> Asked:
        asked, lost = asking(spec.eval.bar, most), 0
        ran: list[Trial] = []
        try:
            while asked.reproduced is None:
                try:
                    ran.append(await self._one(spec, f"{record.eval_id}-{of}-{asked.trials}"))
                except TrialNotRunError as error:
                    lost += 1
                    if lost >= LOST_IN_A_ROW:
                        raise OutageError(f"the base of {record.agent} cannot be run: {error}") from error
                    continue
                lost = 0
                if not of and len(ran) == SILENT and all(trial.trace is None for trial in ran):
                    raise UserError(does_not_run(spec.version, ran[-1], SILENT))
                asked = asked.count(passed=ran[-1].passed)
        finally:
            if ran:
                await drafting.insert(self._db, [_paid(record, spec.version, ran, asked, of)])
        return asked

    async def _one(self, spec: TrialSpec, name: str) -> Trial:
        if self._sandbox is None:
            self._sandbox = sandbox_of(self._settings)
        # Each trial has a key of its own: nothing of one may reach another.
        fresh = replace(spec, nonce=fresh_nonce(), trial=stable_id("draft trial", name))
        return await run_trial(fresh, self._sandbox)

    async def _check_budget(self, terms: AgentFile) -> None:
        spent = await spent_usd(self._db, terms.agent, terms.models.values(), today())
        if spent >= terms.budget.usd_per_day:
            raise OutageError(
                f"today's budget of {terms.agent} is spent ({spent:.2f} US dollars): its drafts wait"
            )


def _paid(record: EvalRecord, commit: str, ran: list[Trial], asked: Asked, of: str) -> DraftCall:
    now = datetime.now(UTC)
    return DraftCall(
        call_id=stable_id("base", record.eval_id, record.content_sha256, of, commit, now.isoformat()),
        agent=record.agent,
        mode_id=record.mode_id,
        eval_id=record.eval_id,
        what="base",
        model="",
        prompt="",
        input_tokens=sum(trial.input_tokens for trial in ran),
        output_tokens=sum(trial.output_tokens for trial in ran),
        usd=0.0,
        seconds=sum(trial.seconds for trial in ran),
        outcome=f"{of}{': ' if of else ''}{_FOUND[asked.reproduced]}:"
        f" {asked.passed} of {asked.trials} trials of {commit[:12]} pass",
        at=now,
    )
