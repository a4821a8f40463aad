"""Founding: the agent's repository and the suite that a life begins with.

The suite is made by the gate's own code, one change for each eval, with certificates and a ledger that
verify. Only the trials are not run: a coin with the eval's true rate stands for each, or they would cost more
than the life itself. The certificates tell: their sandbox is none, their models are none, and `proposed_by`
names this script.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench.life import evals
from bench.life.oracle import Oracle
from bench.life.patches import RULES, Kind, edited, files_of, patch_of
from bench.life.topics import Topic
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP
from outerloop.gate.core.case import Trial
from outerloop.gate.court.judge import Judge
from outerloop.gate.court.rows import Past
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Bench
from outerloop.gate.trials.purse import Purse, Unlimited
from outerloop.gate.trials.runner import trial_id
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.git import Author, RefUpdate, Repository, init_bare
from outerloop.store.trials import TrialRecord

TEMPLATE = Path(__file__).parent / "agent"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ATTEMPTS = 3
FOUNDING = "c-founding-"  # how the ids of its changes begin
_TEAM = Author("desk team", "team@desk.invalid")


class Coins:
    """A runner, a record and a docket for the founding: each trial is one toss at the eval's true rate."""

    def __init__(self, oracle: Oracle, random: Random) -> None:
        self._oracle = oracle
        self._random = random
        self._records: dict[str, list[TrialRecord]] = {}

    async def run(self, bench: Bench, trial: Trial) -> TrialRecord:
        """See `gate.bench.Runner`."""
        eval_ = bench.entries[trial.eval_id].variant(trial.variant).eval
        passed = self._random.random() < await self._oracle.rate(bench.tree, eval_)
        record = TrialRecord(
            trial_id=trial_id(bench.series, trial),
            decision_id=bench.series,
            subject=bench.subject.value,
            agent=bench.agentfile.agent,
            eval_id=trial.eval_id,
            number=trial.index,
            variant=trial.variant,
            passed=passed,
            reasons=() if passed else ("a coin",),
            answer="",
            model_calls=0,
            models=(),
            input_tokens=0,
            output_tokens=0,
            divergences=0,
            seconds=0.0,
            at=BEGAN,
        )
        return await self.add(record)

    async def of(self, series: str) -> list[TrialRecord]:
        """See `gate.bench.Records`."""
        return list(self._records.get(series, ()))

    async def add(self, record: TrialRecord) -> TrialRecord:
        """See `gate.bench.Records`."""
        self._records.setdefault(record.decision_id, []).append(record)
        return record

    async def decided(self, change_id: str) -> bool:
        """See `gate.rows.Docket`."""
        del change_id
        return False

    async def past(self, agent: str, before: datetime) -> Past:
        """See `gate.rows.Docket`."""
        del agent, before
        return Past()

    def purse(self, terms: AgentFile) -> Purse:
        """See `gate.rows.Docket`."""
        del terms
        return Unlimited()


async def publish(remote: Path, cache: Path) -> Repository:
    """The agent with no rule yet, in a new repository."""
    await init_bare(remote)
    repository = await Repository.open(str(remote), cache)
    skipped = shutil.ignore_patterns("__pycache__")
    copy = cache.parent / "template"
    shutil.copytree(TEMPLATE, copy, ignore=skipped)
    files = {str(p.relative_to(copy)): p.read_bytes() for p in sorted(copy.rglob("*")) if p.is_file()}
    tree = await repository.tree_with(None, files)
    commit = await repository.commit(tree, [], "The desk agent", when=BEGAN, author=_TEAM)
    await repository.push_atomic([RefUpdate("refs/heads/main", commit, "")])
    return repository


async def found(
    repository: Repository,
    settings: GateSettings,
    *,
    number: int,
    seed: int,
    progress: Callable[[int], None],
) -> None:
    """Close the first `number` topics, one after another."""
    coins = Coins(Oracle(repository, number), Random(seed))  # noqa: S311 - repeatable by design
    judge = Judge(settings, coins, coins, lambda _: coins)
    for topic in map(Topic, range(number)):
        await _close(repository, judge, topic)
        progress(topic.number + 1)


async def _close(repository: Repository, judge: Judge, topic: Topic) -> None:
    """A good change is blocked now and then: it is proposed again, with one more empty line."""
    for attempt in range(1, ATTEMPTS + 1):
        await repository.fetch()
        change = await _change(repository, topic, attempt)
        judged = await judge.judge(repository, "main", change, evals.entry(topic))
        if judged is not None and judged.decision.verdict == VERDICT_SHIP:
            return
    raise RuntimeError(
        f"the founding rule for a {topic.subject} did not ship in {ATTEMPTS} attempts: {judged}"
    )


async def _change(repository: Repository, topic: Topic, attempt: int) -> ChangeProposed:
    head = await repository.resolve("main") or ""
    files = edited(Kind.GOOD, await files_of(repository, head), topic, topic)
    files[RULES] += b"\n" * (attempt - 1)
    change = ChangeProposed(
        change_id=f"{FOUNDING}{topic.number:03}-{attempt}",
        agent=evals.AGENT,
        mode_id=f"m-{topic.number:03}",
        eval_id=evals.eval_id(topic),
        attempt=attempt,
        base_commit=head,
        patch=await patch_of(repository, head, files),
        diagnosis=f"No rule says what to do about a {topic.subject}",
        model="the founding script of bench-life",
    )
    change.proposed_at.FromDatetime(BEGAN + timedelta(minutes=topic.number))
    return change
