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
# Each of them was in production and did harm, or no good, with proof of the contrary: what the gate measures
# is not what production needs, and the next change would be proven by the same.
MAX_UNDONE = 2
# What became of a change tells its proposer one bit of the eval's held-out variants. After so many they are
# held out no longer; an eval that is reopened keeps its variants, and its attempts are counted anew.
MAX_CONFIRMATIONS = 50


class Outcome(StrEnum):
    """What the gate made of a change, as far as the next step depends on it."""

    SHIPPED = "shipped"
    # Everything that speaks against the change itself; an undecided one too, or it would be tried for ever.
    REJECTED = "rejected"
    # Rejected for what no other change could mend: the base passes the eval, or a person said no.
    FINAL = "final"
    # There was no patch to judge: the session ended without one.
    FAILED = "failed"
    # It shipped, and its eval was reopened since: production fails again, or it was rolled back.
    UNDONE = "undone"
    # A change that did not ship, before its eval was last reopened: the attempts are counted anew.
    PAST = "past"
    # The release branch moved under it: no word on the change, so it does not count as an attempt.
    CONFLICT = "conflict"


# Those that were judged: also those before the eval was reopened.
_TOLD = (Outcome.SHIPPED, Outcome.UNDONE, Outcome.REJECTED, Outcome.FINAL, Outcome.PAST)


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
        max_attempts: so many changes rejected or failed, and the eval is abandoned. Conflicts have a limit
            of their own, MAX_CONFLICTS, and so has what shipped and did not hold, MAX_UNDONE.
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
    if reason := _hopeless(count, max_attempts):
        tried_for = count[Outcome.REJECTED] + count[Outcome.FAILED]
        return Abandon(eval_id, tried_for or len(mine), reason)
    return Propose(eval_id, 1 + max((change.attempt for change in mine.values()), default=0))


def _hopeless(count: Counter[Outcome], max_attempts: int) -> str:
    """Why an eval is given up, going by what became of its changes; "" if it is not."""
    rejected, failed, conflicts = count[Outcome.REJECTED], count[Outcome.FAILED], count[Outcome.CONFLICT]
    if count[Outcome.UNDONE] >= MAX_UNDONE:
        return f"{count[Outcome.UNDONE]} changes shipped and did not hold; a person should look at them"
    if (told := sum(count[each] for each in _TOLD)) >= MAX_CONFIRMATIONS:
        why = f"its held-out variants have told what becomes of {told} changes, and are held out no longer"
        return f"{why}: retire it, and its mode gets an eval with others when it opens again"
    if count[Outcome.FINAL]:
        why = "the base does not provably fail it, or a person closed its pull request: see the last decision"
        return f"{why}; `outerloop modes open` has another eval drafted"
    if rejected + failed >= max_attempts:
        why = f"changes rejected: {rejected}; sessions that brought none: {failed}"
        return f"{why}; a person should look at them"
    if conflicts >= MAX_CONFLICTS:
        why = f"the release branch moved under {conflicts} changes before they could ship"
        return f"{why}; a person should look at who else changes the same files"
    return ""


def _outcomes(decisions: Sequence[Decision]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for decision in decisions:
        if outcomes.get(decision.change_id) not in {Outcome.SHIPPED, Outcome.UNDONE}:
            outcomes[decision.change_id] = decision.outcome
    return outcomes
