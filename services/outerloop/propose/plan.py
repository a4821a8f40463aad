"""What propose does next for one agent. Pure: from what was accepted, proposed and decided, to one step.

Propose handles its events by asking this again, so a redelivered event, or an early one, changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_ATTEMPTS = 8
# A branch that moves under so many changes will move under the next one too, and each has to be paid for.
MAX_CONFLICTS = 20


class Outcome(StrEnum):
    """What the gate made of a change, as far as the next step depends on it."""

    SHIPPED = "shipped"
    # Everything that speaks against the change itself; an undecided one too, or it would be tried for ever.
    REJECTED = "rejected"
    # There was no patch to judge: the session ended without one.
    FAILED = "failed"
    # The release branch moved under it: no word on the change, so it does not count as an attempt.
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was proposed or failed; `attempt` counts from 1 for each eval."""

    change_id: str
    eval_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a change; of a failed one it is known without the gate."""

    change_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Propose:
    """Look for a change for this eval; it will be the `attempt`-th."""

    eval_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop trying this eval; a person is told why."""

    eval_id: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """A change waits for the gate, or nothing is left to do."""


def next_step(
    accepted: Sequence[str],
    changes: Sequence[Change],
    decisions: Sequence[Decision],
    abandoned: Collection[str] = (),
    *,
    max_attempts: int = MAX_ATTEMPTS,
) -> Propose | Abandon | Nothing:
    """The next step for one agent.

    One change is in flight at a time: the next one is made on top of what the gate did with it. Depth first:
    an eval that was tried and not shipped is tried again before another one is begun, so that what was
    learned from its rejection is used while the base is still the same.

    Args:
        accepted: ids of accepted evals, in order of acceptance.
        changes: all changes of the agent, in the order in which they were proposed; repeats do no harm.
        decisions: all decisions of the agent; of several on one change the last counts, a ship always.
        abandoned: ids of evals that were given up, by the model or by this plan.
        max_attempts: so many changes rejected or failed, and the eval is abandoned; conflicts have a limit
            of their own, MAX_CONFLICTS.
    """
    outcomes = _outcomes(decisions)
    if any(change.change_id not in outcomes for change in changes):
        return Nothing()
    shipped = {change.eval_id for change in changes if outcomes[change.change_id] is Outcome.SHIPPED}
    tried = [change.eval_id for change in reversed(changes) if change.eval_id in set(accepted)]
    done = shipped | set(abandoned)
    eval_id = next((e for e in [*tried, *accepted] if e not in done), None)
    if eval_id is None:
        return Nothing()
    mine = {change.change_id: change for change in changes if change.eval_id == eval_id}
    count = Counter(outcomes[change_id] for change_id in mine)
    rejected, failed, conflicts = count[Outcome.REJECTED], count[Outcome.FAILED], count[Outcome.CONFLICT]
    if rejected + failed >= max_attempts:
        why = f"{rejected} changes were rejected, and {failed} sessions brought none"
        return Abandon(eval_id, rejected + failed, f"{why}; a person should look at them")
    if conflicts >= MAX_CONFLICTS:
        why = f"the release branch moved under {conflicts} changes before they could ship"
        return Abandon(eval_id, len(mine), f"{why}; a person should look at who else changes the same files")
    return Propose(eval_id, 1 + max((change.attempt for change in mine.values()), default=0))


def _outcomes(decisions: Sequence[Decision]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for decision in decisions:
        if outcomes.get(decision.change_id) is not Outcome.SHIPPED:
            outcomes[decision.change_id] = decision.outcome
    return outcomes
