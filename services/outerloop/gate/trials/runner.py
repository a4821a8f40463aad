"""Runner: trials in sandboxes of this process, on checkouts that are made once for each tree."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import ClientSession

from outerloop.gate.core.case import Trial
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Bench, Records
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.git import Repository
from outerloop.store.trials import TrialRecord
from outerloop.trial.backend import limits_of
from outerloop.trial.environments import environment_for
from outerloop.trial.run import TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox


class Checkouts:
    """The files of trees and commits, each in a folder of its own below `scratch`."""

    def __init__(self, repository: Repository, scratch: Path) -> None:
        self._repository = repository
        self._scratch = scratch
        self._making = asyncio.Lock()

    async def at(self, tree: str) -> Path:
        """The folder with the files of `tree` (or a commit), by full id; nobody may write there."""
        path = self._scratch / tree
        async with self._making:
            if not path.exists():
                # Beside, then renamed: a folder that exists is whole.
                making = path.with_name(f".{tree}")
                await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
                await self._repository.checkout(tree, making)
                making.rename(path)
        return path


class Here:
    """Runs trials in this process, so many side by side as the settings say; the others wait.

    `session` is for calls of the model: see `run_trial`.
    """

    def __init__(
        self,
        settings: GateSettings,
        sandbox: Sandbox,
        checkouts: Checkouts,
        records: Records,
        session: ClientSession | None = None,
    ) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._checkouts = checkouts
        self._records = records
        self._session = session
        self._room = asyncio.Semaphore(settings.gate_trials_at_once)

    async def run(self, bench: Bench, trial: Trial) -> TrialRecord:
        """See `Runner`."""
        async with self._room:
            record = await self._run(bench, trial)
        return await self._records.add(record)

    async def _run(self, bench: Bench, trial: Trial) -> TrialRecord:
        entry = bench.entries[trial.eval_id].variant(trial.variant)
        checkout = await self._checkouts.at(bench.tree)
        key = self._settings.anthropic_api_key
        spec = TrialSpec(
            checkout=checkout,
            version=bench.tree,
            agent=bench.agentfile,
            eval=entry.eval,
            cassette=entry.cassette,
            tools_checkout=await self._checkouts.at(bench.base_commit),
            environment=await environment_for(bench.agentfile, checkout, self._settings),
            model_url=self._settings.anthropic_base_url,
            model_key=key.get_secret_value() if key else "",
            model_calls=self._settings.gate_model_calls,
            model_override=bench.model,
            trial=trial_id(bench.series, trial),
            limits=limits_of(self._settings),
        )
        ran = await run_trial(spec, self._sandbox, self._session)
        named = {call.model for call in ran.trace.model_calls if call.model} if ran.trace else set[str]()
        named.update(ran.judged_by)
        return TrialRecord(
            trial_id=trial_id(bench.series, trial),
            decision_id=bench.series,
            subject=bench.subject.value,
            agent=bench.agentfile.agent,
            eval_id=trial.eval_id,
            number=trial.index,
            variant=trial.variant,
            passed=ran.passed,
            reasons=ran.reasons,
            answer=ran.answer,
            model_calls=ran.model_calls,
            models=tuple(sorted(named)),
            input_tokens=ran.input_tokens,
            output_tokens=ran.output_tokens,
            divergences=len(ran.divergences),
            tool_calls=ran.tool_calls,
            grader=ran.grader,
            seconds=ran.seconds,
            at=datetime.now(UTC),
        )


def trial_id(series: str, trial: Trial) -> str:
    """The id of a trial: of what it counts for, and its place there."""
    return stable_id("trial", series, trial.eval_id, trial.index)
