"""One flaw after the other: evidence from real runs of the agent, a session of the harness, a verdict.

Agents, evidence, tools, screening, tests and verdicts are real: git, the sandbox, the anthropic SDK. Both
models, the agent's and the repairing one's, are scripts (actors.py, author.py). The gate's statistics are not
asked: the scripts throw no coins, so one run of a case says all.
"""

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic

from bench.propose import actors, author
from bench.propose.contexts import Context
from bench.propose.flaws import Case, Flaw
from engines.repositories import agent_repository
from outerloop.dev.messages_api import Dice, Reply
from outerloop.dev.messages_api.tokens import count_tokens
from outerloop.evals.expect.answer import Answered
from outerloop.evals.grade import describe
from outerloop.evals.model import Cassette, Eval, Provenance
from outerloop.propose import prompts
from outerloop.propose.context import Attempt, Evidence, FailedEval
from outerloop.propose.provider import Claude
from outerloop.propose.purse import Purse
from outerloop.propose.record import Limits, Proposed
from outerloop.propose.screening import Screening
from outerloop.propose.session import Session
from outerloop.propose.tools import CheckRun, EvalRun, RunEval, Toolbox
from outerloop.propose.workspace import Workspace
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.git import Repository
from outerloop.runtime.prices import price_of
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import neighbours
from outerloop.trace.signal import Signal
from outerloop.triage.core.signals import signals_of
from outerloop.trial.checks import run_checks
from outerloop.trial.isolation import Bubblewrap
from outerloop.trial.run import Trial, TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[3] / "deploy/examples"
MODEL = "claude-sonnet-5-5"
MOST_ATTEMPTS = 3
_AT_ONCE = 2
_LEFT_OUT = {"__pycache__", "README.md", "generate.py"}


@dataclass
class Told:
    """What the sessions of one kind of context were sent, in tokens of the scripted server's counting.

    `context` is the conversation when its session ended, `first` its first message, `read` what of all input
    came from the cache.
    """

    context: int = 0
    first: int = 0
    sent: int = 0
    read: int = 0
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a flaw: repaired at which attempt (0: not at all), and why the others were rejected."""

    flaw: str
    attempt: int
    reasons: tuple[str, ...]


@dataclass
class Garage:
    """Where agents are repaired; `url` is the scripted server's. Evidence is run for once."""

    url: str
    sandbox: Sandbox = field(default_factory=lambda: Sandbox(Bubblewrap()))
    _runs: dict[tuple[str, str], Trial] = field(default_factory=dict)
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def run(self, tree: Path, terms: AgentFile, key: str, case: Case) -> Trial:
        """One run of the agent in `tree`, which `key` names, on a case."""
        if (known := self._runs.get((key, case.text))) and case.expect == (Answered(),):
            return known
        async with self._free:
            spec = TrialSpec(
                checkout=tree,
                version=key[:12],
                agent=terms,
                eval=eval_of(terms.agent, case, case.text, ()),
                cassette=Cassette(),
                tools_checkout=tree,
                environment=Path(sys.prefix),
                model_url=self.url,
                model_key="agent",
            )
            trial = await run_trial(spec, self.sandbox)
        if case.expect == (Answered(),):
            self._runs[key, case.text] = trial
        return trial

    async def evidence(self, flaw: Flaw, base: "Base") -> Evidence:
        """What the harness knows of a flaw: runs of the agent as it is, and what is said of them."""
        look = [Case(text, (Answered(),)) for text in (*flaw.failing, *flaw.healthy)]
        trials = await asyncio.gather(*(self.run(base.tree, base.terms, base.commit, case) for case in look))
        traces = [trial.trace for trial in trials]
        if None in traces:
            raise RuntimeError(f"{flaw.name}: no trace came: {[t.reasons for t in trials if not t.trace]}")
        runs = [trace for trace in traces if trace]
        failing, healthy = runs[: len(flaw.failing)], runs[len(flaw.failing) :]
        alike = neighbours(failing[0], healthy)
        eval_ = eval_of(flaw.agent, flaw.case, flaw.name, (failing[0].trace_id,))
        workspace = Workspace(base.tree, base.terms.mutable)
        files = workspace.mutable_files()
        return Evidence(
            title=f"{flaw.agent}: {signals(flaw, failing[0])[0].detail}"[:120],
            signals=signals(flaw, failing[0]),
            eval=eval_,
            expectations=tuple(describe(e) for e in eval_.expect),
            failing=failing[0],
            healthy=alike[0] if alike else None,
            files=files,
            about={path: workspace.first_line(path) for path in files},
            others=(*(("failing", t) for t in failing[1:4]), *(("healthy", t) for t in alike[1:4])),
        )


def signals(flaw: Flaw, failing: Trace) -> tuple[Signal, ...]:
    """What triage sees in a failing run; what it cannot see, an auditor has said."""
    if flaw.audit:
        said = flaw.audit.format(_figure(flaw, failing))
        return (Signal("evaluation", "audit", f"fail: {said}", failing.root.span_id),)
    return signals_of(failing, [])


def _figure(flaw: Flaw, failing: Trace) -> str:
    given = failing.tool_calls[-1]
    if flaw.name == "late refund":
        order = json.loads(given.result)
        age = datetime.fromisoformat(order["today"]) - datetime.fromisoformat(order["delivered_on"])
        return str(age.days)
    return str(given.arguments.get("minutes") or given.arguments.get("discount_percent"))


def eval_of(agent: str, case: Case, title: str, traces: tuple[str, ...]) -> Eval:
    """A case as an eval."""
    text = {"role": "user", "parts": [{"type": "text", "content": case.text}]}
    return Eval(
        format=2,
        id=f"{agent}-{abs(hash(case.text))}",
        agent=agent,
        mode_id=title,
        title=title,
        input={"messages": [text]},
        expect=case.expect,
        provenance=Provenance(drafted_by="bench", drafted_at=datetime.now(UTC), source_traces=traces),
    )


@dataclass(frozen=True, slots=True)
class Base:
    """An agent as it is in production."""

    repository: Repository
    commit: str
    tree: Path
    terms: AgentFile

    @classmethod
    async def of(cls, agent: str, folder: Path) -> "Base":
        """A repository with an example's files, and a checkout of it."""
        root = EXAMPLES / agent
        paths = [p for p in root.rglob("*") if p.is_file() and not _LEFT_OUT & set(p.parts)]
        files = {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}
        repository, commit = await agent_repository(folder, files)
        await repository.checkout(commit, folder / "base")
        terms = AgentFile.parse(files["outerloop.yaml"].decode())
        return cls(repository, commit, folder / "base", terms)


class Repair:
    """Attempts at one flaw, told in one way; `memory`: whether an attempt is told of those before it."""

    def __init__(
        self, garage: Garage, flaw: Flaw, base: Base, context: Context, *, memory: bool = True
    ) -> None:
        self._garage = garage
        self._flaw = flaw
        self._base = base
        self._context = context
        self._memory = memory
        self.told = Told()

    async def run(self, evidence: Evidence) -> Outcome:
        """As many attempts as there may be, until one is good."""
        attempts: list[Attempt] = []
        for number in range(1, MOST_ATTEMPTS + 1):
            known = tuple(attempts) if self._memory else ()
            with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
                made = await self._attempt(replace(evidence, attempts=known), number, Path(scratch))
            if not made.reason:
                return Outcome(self._flaw.name, number, tuple(a.reason for a in attempts))
            attempts.append(made)
        return Outcome(self._flaw.name, 0, tuple(a.reason for a in attempts))

    async def _attempt(self, evidence: Evidence, number: int, scratch: Path) -> Attempt:
        """One session and what comes of it; an empty `reason` is a repair."""
        base, tree = self._base, scratch / "tree"
        await base.repository.checkout(base.commit, tree)
        workspace = Workspace(tree, base.terms.mutable)
        screening = Screening(
            repository=base.repository,
            base=base.commit,
            untouched=base.tree,
            terms=base.terms,
            eval=evidence.eval,
            cassette=Cassette(),
            earlier=[(a.number, a.patch) for a in evidence.attempts if a.patch],
        )
        toolbox = Toolbox(
            workspace,
            self._tests(tree),
            evidence=evidence if self._context.evidence else None,
            run_eval=self._tries(tree),
            objections=lambda: screening.of_tree(tree),
        )
        ended = await self._session(toolbox, self._context.message(evidence, workspace))
        if not isinstance(ended, Proposed):
            return Attempt(number, "", "", f"{ended.ended.value}: {ended.reason}")
        patch = await base.repository.patch_from(base.commit, tree)
        reason, failed = await self._judged(tree)
        return Attempt(number, ended.diagnosis, patch, reason, failed)

    async def _session(self, toolbox: Toolbox, message: str) -> Any:
        async def unwritten(_: object) -> None:
            """Nothing goes on from here."""

        seen: list[Any] = []
        async with anthropic.AsyncAnthropic(base_url=self._garage.url, api_key=self._context.name) as client:
            session = Session(
                provider=_Listening(client, seen),
                model=MODEL,
                price=price_of(MODEL),
                system=prompts.load("system.md"),
                toolbox=toolbox,
                on_steps=unwritten,
                limits=Limits(usd=5.0),
            )
            ended = await session.run(message)
        self.told.first += count_tokens(seen[0]["messages"])
        self.told.context += count_tokens(seen[-1]["messages"])
        self.told.sent += ended.usage.total - ended.usage.output
        self.told.read += ended.usage.cache_read
        self.told.sessions += 1
        return ended

    async def _judged(self, tree: Path) -> tuple[str, tuple[FailedEval, ...]]:
        """Why the tree is rejected, "" if it is not, by what the gate looks at."""
        flaw, terms = self._flaw, self._base.terms
        own, hidden, *earlier = await asyncio.gather(
            *(
                self._garage.run(tree, terms, tree.as_posix(), c)
                for c in (flaw.case, flaw.held_out, *flaw.earlier)
            )
        )
        broken = tuple(
            FailedEval(c.text, 0, 1, t.reasons)
            for c, t in zip(flaw.earlier, earlier, strict=True)
            if not t.passed
        )
        if broken:
            return "an earlier eval does not pass any more", broken
        if not own.passed:
            return "the new eval does not pass", (FailedEval(flaw.name, 0, 1, own.reasons),)
        return "" if hidden.passed else "variants of it that nobody was shown do not pass", ()

    def _tests(self, tree: Path) -> Callable[[], Awaitable[CheckRun]]:
        async def run() -> CheckRun:
            done = await run_checks(
                tree, self._base.terms, environment=Path(sys.prefix), sandbox=self._garage.sandbox
            )
            return CheckRun(done.ok, done.output)

        return run

    def _tries(self, tree: Path) -> RunEval:
        async def run(_: Purse, on: Trace | None = None) -> EvalRun:
            trial = await self._garage.run(tree, self._base.terms, tree.as_posix(), self._flaw.case)
            return EvalRun(trial.passed, trial.reasons, trial.trace)

        return run


class _Listening(Claude):
    """Keeps the requests that it makes."""

    def __init__(self, client: anthropic.AsyncAnthropic, seen: list[Any]) -> None:
        super().__init__(client)
        self._seen = seen

    async def ask(self, request: Any, where: str) -> Any:
        """See Provider."""
        self._seen.append(request)
        return await super().ask(request, where)


def models(request: dict[str, Any], dice: Dice) -> Reply:
    """Both models: who is asked is told by the tools."""
    repairs = any(tool["name"] == "finish" for tool in request.get("tools", ()))
    return author.reply(request, dice) if repairs else actors.reply(request, dice)


def added(tolds: list[Told]) -> Told:
    """The sums."""
    total: Counter[str] = Counter()
    for told in tolds:
        total.update(asdict(told))
    return Told(**total)
