"""Order: which prior eval is tried first: the likeliest to break for its cost, so bad changes die early."""

from collections.abc import Collection, Mapping, Sequence

from outerloop.gate.core.case import PriorEval
from outerloop.gate.core.standing import Standing

# A change that touches what an eval depends on breaks it so many times likelier than another; a guess that
# only costs trials when it is wrong.
TOUCHES = 5.0


def hazard(blocks: int, decisions: int, *, touched: bool) -> float:
    """How likely a change breaks an eval: (blocks + ½) / (decisions + 1) of the past, times `TOUCHES`."""
    return (blocks + 0.5) / (decisions + 1) * (TOUCHES if touched else 1)


def by_hazard(priors: Sequence[PriorEval]) -> list[int]:
    """The positions of the evals, the greatest hazard per cost first; as they were given among equals."""
    return sorted(range(len(priors)), key=lambda i: -priors[i].hazard / priors[i].cost)


def prior_evals(
    standings: Mapping[str, Standing],
    *,
    blocks: Mapping[str, int],
    decisions: int,
    touched: Collection[str] = (),
    costs: Mapping[str, float] | None = None,
) -> tuple[PriorEval, ...]:
    """The prior evals of a case, from what each must keep, by id.

    `blocks` is how many of the past `decisions` each has stopped (none if it is not there), `touched` has the
    ids of those whose own files the change touches (see `fingerprint.touches`), `costs` what a trial of each
    costs, in any unit; 1 for all if None, and their mean for one that is not there.
    """
    known = costs or {}
    mean = sum(known.values()) / len(known) if known else 1.0
    return tuple(
        PriorEval(
            eval_id=eval_id,
            bar=standing.bar,
            anchor=standing.anchor,
            passes=standing.passed,
            trials=standing.trials,
            hazard=hazard(blocks.get(eval_id, 0), decisions, touched=eval_id in touched),
            cost=known.get(eval_id, mean),
        )
        for eval_id, standing in sorted(standings.items())
    )
