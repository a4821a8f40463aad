"""One attempt at an eval: candidates by the most promising strategies, and the one of them that is proposed.

Everything that an attempt has come to is in memory (see memory.py): asked again for the same change, by this
process or another, it goes on from its last step, or gives what it has given before.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from outerloop.contracts.v1.decision_pb2 import OBSTACLE_CONFLICT, VERDICT_SHIP, DecisionReached
from outerloop.propose import choosing, context, ids, prompts, strategies
from outerloop.propose.budget import Budget, Caps, share
from outerloop.propose.candidate import Candidate, Ground, Hindrance
from outerloop.propose.evidence import gather
from outerloop.propose.footing import Footing
from outerloop.propose.memory import Memory, Taken
from outerloop.propose.outcome import NoChange, Written, outcome_of
from outerloop.propose.provider import provider_of
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.strategies import Strategy
from outerloop.propose.workspace import Workspace
from outerloop.runtime.agentfile import AgentFile, agentfile_at
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import GitError, Repository
from outerloop.runtime.prices import price_of
from outerloop.store import lessons as store_lessons
from outerloop.store import sessions
from outerloop.store.changes import ChangeRecord
from outerloop.store.evals import EvalRecord
from outerloop.store.sessions import SessionRecord, State
from outerloop.trial.backend import sandbox_of

__all__ = ["Attempts", "NoChange", "Task", "Written"]


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
    def change_id(self) -> str:
        """The change that the attempt may come to."""
        return ids.change_id(self.record.eval_id, self.attempt)

    @property
    def judged(self) -> list[tuple[int, str]]:
        """Earlier patches for the eval with their numbers, as far as the gate had a word on them."""
        mine = [c for c in self.tried if c.patch and c.eval_id == self.record.eval_id]
        conflict = {i for i, d in self.decisions.items() if d.obstacle == OBSTACLE_CONFLICT}
        return [(c.attempt, c.patch) for c in mine if c.change_id not in conflict]

    @property
    def past(self) -> list[tuple[str, bool]]:
        """The patches of the agent that the gate has decided on, with whether each shipped."""
        known = [(c.patch, self.decisions.get(c.change_id)) for c in self.tried if c.patch]
        return [(patch, decision.verdict == VERDICT_SHIP) for patch, decision in known if decision]


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
        self._footing = Footing()

    async def make(self, task: Task, scratch: Path) -> Written | NoChange | None:
        """A change for the eval, or why there is none, or None when it is not to be gone on with now.

        That is when today's budget does not allow it, or `hindrance` has a reason against another call.

        Raises:
            OutageError: when the model, the repository or ClickHouse is away; the attempt goes on later.
            UserError: what a person gave is wrong: the repository, its branch, outerloop.yaml, the model,
                or that the agent's own tests fail without a change.
        """
        record = task.record
        drawn = await self._drawn(task)
        whole = drawn.get(_SCREENING) or (drawn.get(0) if len(drawn) == 1 else None)
        if whole and whole.state is State.ENDED:
            return outcome_of(whole.outcome)
        of_mode, used_up = await self._budget.used_up(record.agent, record.eval_id, task.since)
        if used_up and not drawn:
            return NoChange(used_up, 0.0, final=True)
        url, branch = self._settings.repositories()[record.agent]
        repository = await Repository.open(url, self._settings.cache / "propose" / record.agent)
        drawn = await self._with_base(repository, drawn)
        base, terms = await _base(repository, branch, record.agent, next(iter(drawn.values()), None))
        going = {n: await self._memory.take_up(s) for n, s in drawn.items() if s.state is State.OPEN}
        gone = _spent(drawn, going) if drawn else None
        allowed = await self._budget.allowance(record.agent, terms, gone, of_mode)
        if allowed is None:
            return None
        untouched = scratch / "base"
        await repository.checkout(base, untouched)
        workspace = Workspace(untouched, terms.mutable)
        evidence, lessons = await gather(self._db, record, workspace, task.tried, task.decisions)
        ground = Ground(
            settings=self._settings,
            record=record,
            repository=repository,
            base=base,
            untouched=untouched,
            terms=terms,
            earlier=task.judged,
            evidence=evidence,
            allowed=allowed,
            hindrance=partial(self._hindrance, task, terms),
            sandbox=self._sandbox,
            provider=self._provider,
            price=self._price,
            budget=self._budget,
            memory=self._memory,
        )
        if not drawn:
            await self._footing.check(ground)
            told = [each.lesson_id for each in lessons]
            await store_lessons.told(self._db, record.agent, task.change_id, told)
            going = await self._begin(task, ground, await self._candidates(task, ground))
        return await self._finish(task, ground, drawn, going, scratch)

    async def _hindrance(self, task: Task, terms: AgentFile) -> str:
        return await task.hindrance() or await self._budget.overdrawn(task.record.agent, terms)

    async def _finish(
        self,
        task: Task,
        ground: Ground,
        drawn: Mapping[int, SessionRecord],
        going: Mapping[int, Taken],
        scratch: Path,
    ) -> Written | NoChange | None:
        """Have the candidates that are open end, side by side, and choose."""
        screening = going.get(_SCREENING)
        open_ = {n: taken for n, taken in going.items() if n != _SCREENING}
        candidates = {*drawn, *going} - {_SCREENING}
        each_usd = share(ground.allowed.today, going=len(open_), candidates=len(candidates))
        work = [
            Candidate(ground, taken, scratch / f"tree{n}", taken.past.usd + each_usd).run()
            for n, taken in open_.items()
        ]
        # Of the others, none is left alone when one raises: what they did until then is paid for.
        ended = await asyncio.gather(*work, return_exceptions=True)
        for each in ended:
            if isinstance(each, BaseException):
                raise each
        made = {n: outcome_of(s.outcome) for n, s in drawn.items() if s.state is State.ENDED and n >= 0}
        for n, outcome in zip(open_, ended, strict=True):
            if outcome is None or isinstance(outcome, BaseException):
                return None
            made[n] = outcome
        if len(made) == 1:
            return next(iter(made.values()))
        if screening is None:
            begun = await self._begin(task, ground, {choosing.CANDIDATE: (choosing.STRATEGY, "")})
            screening = begun[choosing.CANDIDATE]
        left = ground.allowed.usd - sum(each.usd for each in made.values())
        chosen = await choosing.choose(ground, ground.looking(screening, left), dict(sorted(made.items())))
        if chosen is not None:
            await self._memory.end(screening.record, asdict(chosen))
        return chosen

    async def _candidates(self, task: Task, ground: Ground) -> dict[int, tuple[str, str]]:
        """Strategies and what each is told, as many as are wanted; of few strategies each again."""
        open_ = strategies.possible(ground.evidence.files, knobs=bool(ground.terms.knobs))
        tried = await sessions.strategies(self._db, task.record.agent, task.record.eval_id, task.since)
        order = strategies.ranked(open_, tried, task.past) or [Strategy.PROMPT]
        by_model = [each for each in order if each is not Strategy.KNOBS] or [Strategy.PROMPT]
        wanted = self._settings.propose_candidates
        order = (order + by_model * wanted)[:wanted]
        found: dict[int, tuple[str, str]] = {}
        for number, strategy in enumerate(order):
            told = ""
            if strategy is not Strategy.KNOBS:
                approach = prompts.load(f"approach/{strategy.value}.md")
                evidence = replace(ground.evidence, approach=approach)
                told = context.message(evidence, prompts.load("task.md"))
            found[number] = (strategy.value, told)
        return found

    async def _begin(
        self, task: Task, ground: Ground, candidates: Mapping[int, tuple[str, str]]
    ) -> dict[int, Taken]:
        return await self._memory.begin(
            task.record,
            task.change_id,
            candidates,
            attempt=task.attempt,
            base_commit=ground.base,
            model=self._settings.propose_model,
        )

    async def _drawn(self, task: Task) -> dict[int, SessionRecord]:
        """The sessions of the attempt by candidate, the last of each; the screening's as _SCREENING."""
        known = await sessions.of_change(self._db, task.record.agent, task.change_id)
        # What came before is of an attempt with this number before the eval was reopened.
        mine = [s for s in known if task.used is None or s.at > task.used]
        return {_SCREENING if s.strategy == choosing.STRATEGY else s.candidate: s for s in mine}

    async def _with_base(
        self, repository: Repository, drawn: dict[int, SessionRecord]
    ) -> dict[int, SessionRecord]:
        """The sessions, unless the commit that they are made on is gone."""
        if not drawn or await _has(repository, next(iter(drawn.values())).base_commit):
            return drawn
        for session in drawn.values():
            if session.state is State.OPEN:
                await self._memory.end(session, {"reason": "its base commit is gone", "usd": 0.0})
        return {}


# Where the session that looks at the candidates stands among them.
_SCREENING = -1


def _spent(drawn: Mapping[int, SessionRecord], going: Mapping[int, Taken]) -> float:
    """What an attempt has cost: its sessions that are open, and those that have ended."""
    ended = [outcome_of(s.outcome).usd for s in drawn.values() if s.state is State.ENDED]
    return sum(ended) + sum(taken.past.usd for taken in going.values())


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
