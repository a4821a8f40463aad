"""Trying: one run of the agent, as it is edited, on the session's eval or on a recorded run that it is shown.

What can be run so is what the task shows anyway: requests, the recorded worlds, what is expected. Held-out
variants, earlier evals and the gate's own settings are not here.
"""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from outerloop.evals.cassette import recording
from outerloop.evals.model import Eval
from outerloop.propose.purse import Purse
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tools import EvalRun
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import OuterloopError, TrialNotRunError
from outerloop.runtime.prices import Price, Usage, among, known_prices
from outerloop.store.evals import EvalRecord
from outerloop.trace.model import Trace
from outerloop.trial.backend import limits_of
from outerloop.trial.environments import environment_for
from outerloop.trial.modelproxy import Settle
from outerloop.trial.run import TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.usage import Usage as Used

_MODEL_CALLS = 25
# What an answer is taken to be at most where the request says nothing.
_MOST_TOKENS = 32_000
_LIMITS = ("max_tokens", "max_completion_tokens")
_FREE = Price(input=0, output=0, cache_write=0, cache_read=0)


class Trying:
    """Runs the agent in `tree`; its tool sandbox runs from `base`, which no session has edited."""

    def __init__(
        self, settings: ProposeSettings, sandbox: Sandbox, record: EvalRecord, terms: AgentFile
    ) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._record = record
        self._terms = terms

    async def run(self, tree: Path, base: Path, purse: Purse, on: Trace | None = None) -> EvalRun:
        """One run, paid for out of `purse` as far as prices are known; `on`: a recorded run, for the eval.

        Raises:
            TrialNotRunError: it says nothing about the agent.
        """
        key = self._settings.anthropic_api_key
        record = self._record
        trial = await run_trial(
            TrialSpec(
                checkout=tree,
                version="working-tree",
                agent=self._terms,
                eval=_again(record.eval, on) if on else record.eval,
                cassette=recording(on) if on else record.cassette,
                tools_checkout=base,
                environment=await environment(self._terms, base, self._settings),
                model_url=self._settings.anthropic_base_url,
                model_key=key.get_secret_value() if key else "",
                model_calls=_MODEL_CALLS,
                limits=limits_of(self._settings),
                payer=ByPrice(purse, self._terms.models.values()),
            ),
            self._sandbox,
        )
        return EvalRun(trial.passed, trial.reasons, trial.trace)


async def environment(terms: AgentFile, base: Path, settings: ProposeSettings) -> Path:
    """The agent's Python environment, by the lock of `base`, which no session has edited.

    Raises:
        TrialNotRunError: there is none.
    """
    try:
        return await environment_for(terms, base, settings)
    except TrialNotRunError:
        raise
    except OuterloopError as error:
        raise TrialNotRunError(str(error)) from error


def _again(eval_: Eval, run: Trace) -> Eval:
    """The eval on a recorded run's request. Of that nothing is expected: what holds there, nobody has said.

    Raises:
        TrialNotRunError: its request was not recorded.
    """
    if not run.input_messages:
        raise TrialNotRunError("what was asked in that run is not recorded")
    return eval_.model_copy(update={"input": {"messages": run.input_messages}, "expect": ()})


class ByPrice:
    """Pays for calls; see trial.modelproxy.Payer.

    A call costs what its model does; one without a known price as much as the dearest of the agent's.
    """

    def __init__(self, purse: Purse, models: Iterable[str]) -> None:
        self._purse = purse
        self._prices = known_prices()
        own = [price for model in models if (price := among(self._prices, model))]
        self._else = max(own, key=lambda p: p.output, default=_FREE)

    async def begin(self, body: bytes) -> Settle | None:
        """No text has more tokens than bytes."""
        model, tokens = _asked(body)
        price = among(self._prices, model) or self._else
        most = price.most_usd(len(body), tokens)
        return partial(self._end, price, most) if await self._purse.begin(most) else None

    def _end(self, price: Price, most: float, used: Used | None) -> None:
        """A call whose end nobody saw has cost the most that it could."""
        usd = most if used is None else price.usd(Usage(used.input_tokens, used.output_tokens))
        self._purse.end(most, usd)


def _asked(body: bytes) -> tuple[str, int]:
    """The model of a request, and how many tokens its answer may have."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        request = None  # the provider will refuse it
    request = request if isinstance(request, dict) else {}
    said = [tokens for name in _LIMITS if isinstance(tokens := request.get(name), int)]
    return str(request.get("model", "")), max(0, max(said, default=_MOST_TOKENS))
