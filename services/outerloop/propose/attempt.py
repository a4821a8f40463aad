"""One attempt at an eval: a working tree, a session with the model, a patch.

Everything that an attempt has come to is in memory (see memory.py): asked again for the same change, by this
process or another, it goes on from its last step, or gives what it has given before.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from json import loads
from pathlib import Path
from typing import Any

from outerloop.contracts.v1.decision_pb2 import OBSTACLE_CONFLICT, DecisionReached
from outerloop.propose import context, ids, prompts
from outerloop.propose.budget import Allowance, Budget, Caps
from outerloop.propose.context import Evidence
from outerloop.propose.evidence import gather
from outerloop.propose.memory import Memory
from outerloop.propose.provider import provider_of
from outerloop.propose.record import Ended, GaveUp, Limits, Proposed
from outerloop.propose.screening import Screening
from outerloop.propose.session import Session
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tools import CheckRun, Toolbox
from outerloop.propose.trying import Trying
from outerloop.propose.workspace import Workspace
from outerloop.runtime.agentfile import AgentFile, agentfile_at
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import TrialNotRunError, UserError
from outerloop.runtime.git import GitError, Repository
from outerloop.runtime.prices import price_of
from outerloop.store import lessons as store_lessons
from outerloop.store.changes import ChangeRecord
from outerloop.store.evals import EvalRecord
from outerloop.store.sessions import SessionRecord, State
from outerloop.trial.backend import check_limits_of, environment_of, sandbox_of
from outerloop.trial.checks import run_checks

Hindrance = Callable[[], Awaitable[str]]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The `attempt`-th try at an eval; what was `tried` for the agent, and the gate's decisions by change.

    `used`: when an attempt of that number last came to something that was stored as a change. `since`: when
    the eval was last reopened; what was spent before does not count. `hindrance` says why no call of the
    model may be made now, "" if it may.
    """

    record: EvalRecord
    attempt: int
    tried: Sequence[ChangeRecord]
    decisions: Mapping[str, DecisionReached]
    used: datetime | None
    since: datetime
    hindrance: Hindrance

    @property
    def judged(self) -> list[tuple[int, str]]:
        """Earlier patches for the eval with their numbers, as far as the gate had a word on them."""
        mine = [c for c in self.tried if c.patch and c.eval_id == self.record.eval_id]
        conflict = {i for i, d in self.decisions.items() if d.obstacle == OBSTACLE_CONFLICT}
        return [(c.attempt, c.patch) for c in mine if c.change_id not in conflict]


class Attempts:
    """Makes attempts; keeps nothing between them but the client and the sandbox."""

    def __init__(self, settings: ProposeSettings, db: ClickHouse) -> None:
        self._settings = settings
        self._db = db
        self._sandbox = sandbox_of(settings)
        self._provider = provider_of(settings)
        self._price = price_of(settings.propose_model)
        caps = Caps(
            settings.propose_usd_per_session, settings.propose_usd_per_mode, settings.propose_usd_per_day
        )
        self._budget = Budget(db, caps)
        self._memory = Memory(db)

    async def make(self, task: Task, scratch: Path) -> Written | NoChange | None:
        """A change for the eval, or why there is none, or None when it is not to be gone on with now.

        That is when today's budget does not allow it, or `hindrance` has a reason against another call.

        Raises:
            OutageError: when the model, the repository or ClickHouse is away; the attempt goes on later.
            UserError: what a person gave is wrong: the repository, its branch, outerloop.yaml, the model.
        """
        record = task.record
        change_id = ids.change_id(record.eval_id, task.attempt)
        known = await self._memory.of_change(record.agent, change_id, 0)
        if known is not None and task.used is not None and known.at <= task.used:
            known = None  # it was of an attempt with this number before the eval was reopened
        if known is not None and known.state is State.ENDED:
            return _outcome(known.outcome)
        of_mode, used_up = await self._budget.used_up(record.agent, record.eval_id, task.since)
        if used_up and known is None:
            return NoChange(used_up, 0.0, final=True)
        url, branch = self._settings.repositories()[record.agent]
        repository = await Repository.open(url, self._settings.cache / "propose" / record.agent)
        if known is not None and not await _has(repository, known.base_commit):
            await self._memory.end(known, {"reason": "its base commit is gone", "usd": 0.0})
            known = None
        base, terms = await _base(repository, branch, record.agent, known)
        taken = await self._memory.take_up(known) if known else None
        allowed = await self._budget.allowance(
            record.agent, terms, taken.past.usd if taken else None, of_mode
        )
        if allowed is None:
            return None
        tree = scratch / "tree"
        await repository.checkout(base, tree)
        workspace = Workspace(tree, terms.mutable)
        evidence, lessons = await gather(self._db, record, workspace, task.tried, task.decisions)
        if taken is None:
            await store_lessons.told(self._db, record.agent, change_id, [each.lesson_id for each in lessons])
            taken = await self._memory.begin(
                record,
                change_id,
                attempt=task.attempt,
                candidate=0,
                strategy="",
                base_commit=base,
                model=self._settings.propose_model,
                told=context.message(evidence, prompts.load("task.md")),
            )
        await repository.checkout(base, scratch / "base")
        screening = Screening(
            repository=repository,
            base=base,
            untouched=scratch / "base",
            terms=terms,
            eval=record.eval,
            cassette=record.cassette,
            earlier=task.judged,
        )
        toolbox = self._toolbox(record, workspace, evidence, screening)
        session = Session(
            provider=self._provider,
            model=self._settings.propose_model,
            price=self._price,
            system=prompts.load("system.md"),
            toolbox=toolbox,
            on_steps=partial(self._memory.write, taken.record),
            limits=Limits(usd=allowed.usd),
            hindrance=task.hindrance,
            epoch=taken.epoch,
        )
        ended = await session.run(taken.record.told, taken.past)
        made = await self._made(ended, allowed, screening, taken.record, tree)
        if made is not None:
            await self._memory.end(taken.record, asdict(made))
        return made

    async def _made(
        self,
        ended: Proposed | GaveUp,
        allowed: Allowance,
        screening: Screening,
        session: SessionRecord,
        tree: Path,
    ) -> Written | NoChange | None:
        if isinstance(ended, GaveUp):
            if ended.ended is Ended.SUSPENDED:
                return None
            if ended.ended is Ended.BUDGET and not allowed.whole:
                # Not its own limit, but the day's, stops it: it goes on tomorrow.
                self._budget.too_little(session.agent, allowed.today)
                return None
            # Where the eval's own budget ended it, another attempt could not even begin.
            final = ended.ended is Ended.MODEL or (ended.ended is Ended.BUDGET and allowed.last)
            return NoChange(f"{ended.ended.value}: {ended.reason}", ended.usd, final)
        patch = await screening.repository.patch_from(session.base_commit, tree)
        if wrong := await screening.of_patch(patch):
            return NoChange(f"what the session handed in may not be proposed: {'; '.join(wrong)}", ended.usd)
        diagnosis = f"{ended.diagnosis}\n\nCause: {ended.cause}\nRisk: {ended.risk}"
        return Written(session.base_commit, patch, diagnosis, ended.usd)

    def _toolbox(
        self, record: EvalRecord, workspace: Workspace, evidence: Evidence, screening: Screening
    ) -> Toolbox:
        terms = screening.terms
        trying = Trying(self._settings, self._sandbox, record, terms)

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

        return Toolbox(
            workspace,
            run_tests if terms.test else None,
            evidence=evidence,
            run_eval=lambda: trying.run(workspace.root, screening.untouched),
            objections=lambda: screening.of_tree(workspace.root),
        )


def _outcome(text: str) -> Written | NoChange:
    """What an attempt that has ended came to."""
    said: dict[str, Any] = loads(text)
    return Written(**said) if "patch" in said else NoChange(**said)


async def _has(repository: Repository, commit: str) -> bool:
    try:
        await repository.tree_of(commit)
    except GitError:
        return False
    return True


async def _base(
    repository: Repository, branch: str, agent: str, known: SessionRecord | None
) -> tuple[str, AgentFile]:
    """The commit that an attempt is made on: a session that goes on keeps its own."""
    commit = known.base_commit if known else await repository.resolve(branch)
    if commit is None:
        raise UserError(f"the repository of {agent} has no branch {branch}: push the agent to it")
    return commit, await agentfile_at(repository, commit)
