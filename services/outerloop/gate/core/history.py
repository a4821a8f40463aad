"""History: what the gate learns from its own certificates. It tunes bets, and so costs, never bars."""

from collections.abc import Sequence
from dataclasses import replace

from outerloop.gate.core.case import Kind, Outcome, PriorEval, Verdict


def fed(priors: Sequence[PriorEval], verdict: Verdict) -> tuple[PriorEval, ...]:
    """The prior evals as the next change meets them: a shipped change is the base now, its trials history.

    Without it a base that was lucky over its first hundred trials is held to that for ever, and blocks good
    changes. What did not ship says nothing of the base.
    """
    if verdict.outcome is not Outcome.SHIP:
        return tuple(priors)
    counts = {c.name: (c.passes, c.trials) for c in verdict.claims if c.kind is Kind.PRIOR}
    return tuple(_fed(prior, *counts.get(prior.eval_id, (0, 0))) for prior in priors)


def _fed(prior: PriorEval, passes: int, trials: int) -> PriorEval:
    return replace(prior, passes=prior.passes + passes, trials=prior.trials + trials)
