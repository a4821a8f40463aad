"""Trying: one run of the agent, as it is edited, on the eval that the session is about.

What can be run so is what the task shows anyway: its request, the recorded world, what is expected. Held-out
variants, earlier evals and the gate's own settings are not here.
"""

from pathlib import Path

from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tools import EvalRun
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import OuterloopError, TrialNotRunError
from outerloop.runtime.prices import Usage, known_prices
from outerloop.store.evals import EvalRecord
from outerloop.trial.environments import environment_for
from outerloop.trial.run import TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Limits

_MODEL_CALLS = 25


class Trying:
    """Runs the agent in `tree`; its tool sandbox runs from `base`, which no session has edited."""

    def __init__(
        self, settings: ProposeSettings, sandbox: Sandbox, record: EvalRecord, terms: AgentFile
    ) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._record = record
        self._terms = terms

    async def run(self, tree: Path, base: Path) -> EvalRun:
        """One run.

        Raises:
            TrialNotRunError: it says nothing about the agent.
        """
        key = self._settings.anthropic_api_key
        try:
            environment = await environment_for(self._terms, base, self._settings)
        except TrialNotRunError:
            raise
        except OuterloopError as error:
            raise TrialNotRunError(str(error)) from error
        trial = await run_trial(
            TrialSpec(
                checkout=tree,
                version="working-tree",
                agent=self._terms,
                eval=self._record.eval,
                cassette=self._record.cassette,
                tools_checkout=base,
                environment=environment,
                model_url=self._settings.anthropic_base_url,
                model_key=key.get_secret_value() if key else "",
                model_calls=_MODEL_CALLS,
                limits=Limits(seconds=self._settings.trial_seconds),
            ),
            self._sandbox,
        )
        usage = Usage(trial.input_tokens, trial.output_tokens)
        prices = known_prices()
        usd = max((prices[m].usd(usage) for m in self._terms.models.values() if m in prices), default=0.0)
        return EvalRun(trial.passed, trial.reasons, trial.trace, usd)
