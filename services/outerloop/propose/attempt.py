"""One attempt at an eval: a working tree, a session with the model, a patch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from uuid import uuid4

from anthropic import AsyncAnthropic

from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.propose import context, prompts
from outerloop.propose.budget import Budget
from outerloop.propose.evidence import gather
from outerloop.propose.record import Ended, GaveUp, Limits, Step
from outerloop.propose.session import Session
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tools import CheckRun
from outerloop.propose.workspace import Workspace
from outerloop.runtime import metrics
from outerloop.runtime.agentfile import AgentFile, agentfile_at
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import TrialNotRunError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.prices import price_of
from outerloop.store import changes
from outerloop.store.changes import ChangeRecord, StepRecord
from outerloop.store.evals import EvalRecord
from outerloop.trial.backend import check_limits_of, environment_of, sandbox_of
from outerloop.trial.checks import run_checks


@dataclass(frozen=True, slots=True)
class Written:
    """A patch against `base`, and what it cost."""

    base: str
    patch: str
    diagnosis: str
    usd: float


@dataclass(frozen=True, slots=True)
class NoChange:
    """Why there is no patch, and what that cost; `final`: the model says that no other try will bring one."""

    reason: str
    usd: float
    final: bool = False


class Attempts:
    """Makes attempts; keeps nothing between them but the client and the sandbox."""

    def __init__(self, settings: ProposeSettings, db: ClickHouse) -> None:
        self._settings = settings
        self._db = db
        self._sandbox = sandbox_of(settings)
        key = settings.anthropic_api_key
        self._client = AsyncAnthropic(
            api_key=key.get_secret_value() if key else "", base_url=settings.anthropic_base_url, max_retries=4
        )
        self._price = price_of(settings.propose_model)
        self._budget = Budget(db, settings.propose_usd_per_session)

    async def make(
        self,
        record: EvalRecord,
        change_id: str,
        scratch: Path,
        tried: Sequence[ChangeRecord],
        decisions: Mapping[str, DecisionReached],
    ) -> Written | NoChange | None:
        """A change for the eval, or why there is none, or None when today's budget does not allow a try.

        Raises:
            OutageError: when the model, the repository or ClickHouse is away; nothing of the attempt is kept
                but what it has cost.
            UserError: what a person gave is wrong: the repository, its branch, outerloop.yaml, the model.
        """
        url, branch = self._settings.repositories()[record.agent]
        repository = await Repository.open(url, self._settings.cache / "propose" / record.agent)
        base, terms = await _base(repository, branch, record.agent)
        allowed = await self._budget.allowance(record.agent, terms)
        if allowed is None:
            return None
        tree = scratch / "tree"
        await repository.checkout(base, tree)
        workspace = Workspace(tree, terms.mutable)
        evidence = await gather(self._db, record, workspace.mutable_files(), tried, decisions)
        ended = await self._session(record.agent, change_id, workspace, terms, allowed.usd).run(
            context.message(evidence, prompts.load("task.md"))
        )
        if isinstance(ended, GaveUp):
            if ended.ended is Ended.BUDGET and not allowed.whole:
                # Not its own limit, but the day's, cut it short: that is no attempt.
                self._budget.too_little(record.agent, allowed.usd)
                return None
            return NoChange(f"{ended.ended.value}: {ended.reason}", ended.usd, ended.ended is Ended.MODEL)
        patch = await repository.patch_from(base, tree)
        if not patch:
            return NoChange("the session finished without a difference", ended.usd)
        diagnosis = f"{ended.diagnosis}\n\nCause: {ended.cause}\nRisk: {ended.risk}"
        return Written(base, patch, diagnosis, ended.usd)

    def _session(
        self, agent: str, change_id: str, workspace: Workspace, terms: AgentFile, usd: float
    ) -> Session:
        session_id = str(uuid4())

        async def run_tests() -> CheckRun:
            try:
                checks = await run_checks(
                    workspace.root,
                    terms,
                    environment=environment_of(self._settings),
                    sandbox=self._sandbox,
                    limits=check_limits_of(self._settings),
                )
            except TrialNotRunError as error:
                return CheckRun(passed=False, output=f"the tests could not be run: {error}")
            return CheckRun(checks.ok, checks.output)

        return Session(
            client=self._client,
            model=self._settings.propose_model,
            price=self._price,
            system=prompts.load("system.md"),
            workspace=workspace,
            run_tests=run_tests if terms.test else None,
            on_step=lambda step: self._record(agent, change_id, session_id, step),
            limits=Limits(usd=usd),
        )

    async def _record(self, agent: str, change_id: str, session_id: str, step: Step) -> None:
        if step.reply is None:
            metrics.SPEND.labels("propose").inc(step.usd)
        await changes.insert_step(
            self._db,
            StepRecord(
                agent=agent,
                change_id=change_id,
                session_id=session_id,
                step=step.number,
                stop_reason=step.stop_reason,
                content=dumps(step.content, ensure_ascii=False),
                results=dumps(step.reply or [], ensure_ascii=False),
                input_tokens=step.usage.total - step.usage.output,
                output_tokens=step.usage.output,
                usd=step.usd,
                seconds=step.seconds,
                at=datetime.now(UTC),
            ),
        )


async def _base(repository: Repository, branch: str, agent: str) -> tuple[str, AgentFile]:
    commit = await repository.resolve(branch)
    if commit is None:
        raise UserError(f"the repository of {agent} has no branch {branch}: push the agent to it")
    return commit, await agentfile_at(repository, commit)
