"""Trying: one run of the agent, as it is edited, on the eval that the session is about.

What can be run so is what the task shows anyway: its request, the recorded world, what is expected. Held-out
variants, earlier evals and the gate's own settings are not here.
"""

import json
from pathlib import Path

from outerloop.propose.purse import Purse
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tools import EvalRun
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import OuterloopError, TrialNotRunError
from outerloop.runtime.prices import Price, Usage, known_prices
from outerloop.store.evals import EvalRecord
from outerloop.trial.backend import limits_of
from outerloop.trial.environments import environment_for
from outerloop.trial.run import TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.usage import Usage as Used

_MODEL_CALLS = 25
# What an answer is taken to be at most where the request says nothing.
_MOST_TOKENS = 32_000
_LIMITS = ("max_tokens", "max_completion_tokens")


class Trying:
    """Runs the agent in `tree`; its tool sandbox runs from `base`, which no session has edited."""

    def __init__(
        self, settings: ProposeSettings, sandbox: Sandbox, record: EvalRecord, terms: AgentFile
    ) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._record = record
        self._terms = terms

    async def run(self, tree: Path, base: Path, purse: Purse) -> EvalRun:
        """One run, paid for out of `purse` as far as a price is known for the agent's model.

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
        prices = known_prices()
        dearest = [prices[m] for m in self._terms.models.values() if m in prices]
        payer = _ByPrice(purse, max(dearest, key=lambda p: p.output)) if dearest else None
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
                limits=limits_of(self._settings),
                payer=payer,
            ),
            self._sandbox,
        )
        if payer:
            # A judge's calls do not go through the agent's proxy: they are counted when they have been made.
            purse.end(
                0.0, max(0.0, payer.price.usd(Usage(trial.input_tokens, trial.output_tokens)) - payer.usd)
            )
        return EvalRun(trial.passed, trial.reasons, trial.trace)


class _ByPrice:
    """Pays for calls at one price; see trial.modelproxy.Payer. `usd` is what it has paid."""

    def __init__(self, purse: Purse, price: Price) -> None:
        self.price = price
        self.usd = 0.0
        self._purse = purse

    async def begin(self, body: bytes) -> float | None:
        """No text has more tokens than bytes."""
        most = self.price.most_usd(len(body), _most_tokens(body))
        return most if await self._purse.begin(most) else None

    def end(self, most: float, usage: Used | None) -> None:
        """A call whose end nobody saw has cost the most that it could."""
        usd = most if usage is None else self.price.usd(Usage(usage.input_tokens, usage.output_tokens))
        self.usd += usd
        self._purse.end(most, usd)


def _most_tokens(body: bytes) -> int:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return _MOST_TOKENS  # the provider will refuse it
    said = [request.get(name) for name in _LIMITS] if isinstance(request, dict) else []
    return max((each for each in said if isinstance(each, int)), default=_MOST_TOKENS)
