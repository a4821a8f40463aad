"""One candidate of an attempt: a working tree, a session (or a search) over it, an outcome.

Candidates of one attempt work side by side, each with its own strategy, tree and share of the budget. What a
candidate did is in memory (see memory.py): asked again, it goes on from its last step.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from outerloop.evals.model import Cassette, Eval
from outerloop.propose import prompts
from outerloop.propose.budget import Allowance, Budget
from outerloop.propose.context import Evidence
from outerloop.propose.looking import Looking
from outerloop.propose.memory import Memory, Taken
from outerloop.propose.outcome import NoChange, Written
from outerloop.propose.provider import Provider
from outerloop.propose.purse import Purse
from outerloop.propose.record import Ended, GaveUp, Limits, Proposed
from outerloop.propose.screening import Screening
from outerloop.propose.search import Search
from outerloop.propose.session import Session
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.strategies import Strategy
from outerloop.propose.tools import CheckRun, EvalRun, Toolbox
from outerloop.propose.trying import Trying, environment
from outerloop.propose.workspace import Workspace
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.git import Repository
from outerloop.runtime.prices import Price
from outerloop.store.evals import EvalRecord
from outerloop.trace.model import Trace
from outerloop.trial.backend import check_limits_of
from outerloop.trial.checks import run_checks
from outerloop.trial.sandbox import Sandbox

Hindrance = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the candidates of an attempt share. `untouched` is a checkout of `base` that nobody edits.

    `earlier` are earlier patches for the eval with their numbers, as far as the gate had a word on them.
    """

    settings: ProposeSettings
    record: EvalRecord
    repository: Repository
    base: str
    untouched: Path
    terms: AgentFile
    earlier: list[tuple[int, str]]
    evidence: Evidence
    allowed: Allowance
    hindrance: Hindrance
    sandbox: Sandbox
    provider: Provider
    price: Price
    budget: Budget
    memory: Memory

    async def tests(self, tree: Path) -> CheckRun:
        """The agent's own tests on a tree; raises TrialNotRunError when they did not happen."""
        checks = await run_checks(
            tree,
            self.terms,
            environment=await environment(self.terms, self.untouched, self.settings),
            sandbox=self.sandbox,
            limits=check_limits_of(self.settings),
        )
        return CheckRun(checks.ok, checks.output)

    async def trial(self, tree: Path, purse: Purse, on: Trace | None = None) -> EvalRun:
        """One run of the agent in a tree; see Trying.run."""
        trying = Trying(self.settings, self.sandbox, self.record, self.terms)
        return await trying.run(tree, self.untouched, purse, on)

    def looking(self, taken: Taken, usd: float) -> Looking:
        """What looks at the agent, in steps of a session; `usd`: what they may cost from its beginning on."""
        return Looking(
            taken.past,
            epoch=taken.epoch,
            on_step=lambda step: self.memory.write(taken.record, [step]),
            hindrance=self.hindrance,
            usd=usd,
        )

    def tomorrow(self) -> bool:
        """Whether it is the day's limit that ends a session, not its own: then it goes on tomorrow."""
        if self.allowed.whole:
            return False
        self.budget.too_little(self.record.agent, self.allowed.today)
        return True

    def screening(self) -> Screening:
        """What every patch is screened by."""
        eval_: Eval = self.record.eval
        cassette: Cassette = self.record.cassette
        return Screening(
            repository=self.repository,
            base=self.base,
            untouched=self.untouched,
            terms=self.terms,
            eval=eval_,
            cassette=cassette,
            earlier=self.earlier,
        )


class Candidate:
    """One candidate; `usd`: what it may cost from its beginning to its end."""

    def __init__(self, ground: Ground, taken: Taken, tree: Path, usd: float) -> None:
        self._ground = ground
        self._taken = taken
        self._tree = tree
        self._usd = usd
        self._screening = ground.screening()

    async def run(self) -> Written | NoChange | None:
        """Its outcome, or None if it goes on later; see Attempts.make for what it raises."""
        await self._ground.repository.checkout(self._ground.base, self._tree)
        by_trying = self._taken.record.strategy == Strategy.KNOBS
        ended = await (self._search() if by_trying else self._session())
        made = await self._made(ended)
        if made is not None:
            await self._ground.memory.end(self._taken.record, asdict(made))
        return made

    async def _session(self) -> Proposed | GaveUp:
        ground, taken = self._ground, self._taken
        workspace = Workspace(self._tree, ground.terms.mutable)
        toolbox = Toolbox(
            workspace,
            partial(ground.tests, self._tree) if ground.terms.test else None,
            evidence=ground.evidence,
            run_eval=partial(ground.trial, self._tree),
            objections=partial(self._screening.of_tree, self._tree),
        )
        session = Session(
            provider=ground.provider,
            model=ground.settings.propose_model,
            price=ground.price,
            system=prompts.load("system.md"),
            toolbox=toolbox,
            on_steps=partial(ground.memory.write, taken.record),
            limits=Limits(usd=self._usd),
            hindrance=ground.hindrance,
            epoch=taken.epoch,
        )
        return await session.run(taken.record.told, taken.past)

    async def _search(self) -> Proposed | GaveUp:
        ground = self._ground
        search = Search(
            space=ground.terms.knobs,
            workspace=Workspace(self._tree, ground.terms.mutable),
            run_tests=partial(ground.tests, self._tree) if ground.terms.test else None,
            run_eval=partial(ground.trial, self._tree),
            objections=partial(self._screening.of_tree, self._tree),
            looking=ground.looking(self._taken, self._usd),
        )
        return await search.run()

    async def _made(self, ended: Proposed | GaveUp) -> Written | NoChange | None:
        ground, allowed = self._ground, self._ground.allowed
        if isinstance(ended, GaveUp):
            if ended.ended is Ended.SUSPENDED:
                return None
            if ended.ended is Ended.BUDGET and ground.tomorrow():
                return None
            # Where the eval's own budget ended it, another attempt could not even begin.
            final = ended.ended is Ended.MODEL or (ended.ended is Ended.BUDGET and allowed.last)
            by_trying = self._taken.record.strategy == Strategy.KNOBS
            return NoChange(f"{ended.ended.value}: {ended.reason}", ended.usd, final and not by_trying)
        patch = await ground.repository.patch_from(ground.base, self._tree)
        if wrong := await self._screening.of_patch(patch):
            return NoChange(f"what the session handed in may not be proposed: {'; '.join(wrong)}", ended.usd)
        diagnosis = f"{ended.diagnosis}\n\nCause: {ended.cause}\nRisk: {ended.risk}"
        return Written(ground.base, patch, diagnosis, ended.usd)
