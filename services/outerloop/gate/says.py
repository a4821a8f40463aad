"""What the gate says of a change: its decision as a message, with the evidence behind it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_NEW_EVAL,
    OBSTACLE_PRIOR_EVAL,
    OBSTACLE_UNSPECIFIED,
    VERDICT_REJECT,
    VERDICT_SHIP,
    DecisionReached,
    EvalOutcome,
    Obstacle,
)
from outerloop.evals.suite import Suite
from outerloop.gate.candidate import Candidate, Refused
from outerloop.gate.core.decide import Ruling
from outerloop.gate.ship import Shipped
from outerloop.gate.trials import Bench
from outerloop.store.decisions import TrialRecord

_REASONS = 5


def decision(
    change: ChangeProposed,
    candidate: Candidate | Refused,
    suite: Suite,
    *,
    obstacle: Obstacle = OBSTACLE_UNSPECIFIED,
    reason: str = "",
    outcomes: Sequence[EvalOutcome] = (),
) -> DecisionReached:
    """The decision on what was judged: a rejection where there is an obstacle."""
    decision = DecisionReached(
        decision_id=candidate.decision_id,
        agent=change.agent,
        change_id=change.change_id,
        mode_id=change.mode_id,
        eval_id=change.eval_id,
        verdict=VERDICT_REJECT if obstacle else VERDICT_SHIP,
        obstacle=obstacle,
        reason=reason,
        outcomes=outcomes,
        base_commit=candidate.head,
        candidate_commit=candidate.tree if isinstance(candidate, Candidate) else "",
        suite_commit=suite.commit,
    )
    decision.decided_at.FromDatetime(datetime.now(UTC))
    return decision


def outcomes(ruling: Ruling, bench: Bench, records: Sequence[TrialRecord]) -> list[EvalOutcome]:
    """How each eval did, over the trials that counted."""
    found: list[EvalOutcome] = []
    for outcome in ruling.outcomes:
        counted = [r for r in records if r.eval_id == outcome.eval_id and r.number < outcome.trials]
        reasons = dict.fromkeys(reason for r in counted for reason in r.reasons)
        found.append(
            EvalOutcome(
                eval_id=outcome.eval_id,
                title=bench.entries[outcome.eval_id].eval.title,
                trials=outcome.trials,
                passed=outcome.passed,
                held=outcome.held,
                reasons=list(reasons)[:_REASONS],
                divergences=sum(r.divergences for r in counted),
            )
        )
    return found


def rejection(
    change: ChangeProposed,
    candidate: Candidate,
    suite: Suite,
    ruling: Ruling,
    outcomes: Sequence[EvalOutcome],
) -> DecisionReached:
    """The decision on a change that an eval stopped, in a sentence that the next attempt can learn from."""
    broken = next(o for o in outcomes if o.eval_id == ruling.broken)
    prior = broken.eval_id != change.eval_id
    which = "an earlier eval does not pass any more" if prior else "the new eval does not pass"
    reason = f'{which}: "{broken.title}" passed {broken.passed} of {broken.trials} trials: ' + "; ".join(
        broken.reasons
    )
    obstacle = OBSTACLE_PRIOR_EVAL if prior else OBSTACLE_NEW_EVAL
    return decision(change, candidate, suite, obstacle=obstacle, reason=reason, outcomes=outcomes)


def with_release(decision: DecisionReached, shipped: Shipped) -> DecisionReached:
    """The decision, completed with what the push made."""
    decision.shipped_commit = shipped.commit
    decision.certificate_sha256 = shipped.certificate_sha256
    decision.reason = f"shipped as {shipped.commit[:12]}"
    return decision


def recovered(change: ChangeProposed, shipped: Shipped) -> DecisionReached:
    """The decision on a change that shipped before the gate could say so, from its certificate."""
    certificate = shipped.certificate
    decision = DecisionReached(
        decision_id=certificate.decision_id,
        agent=change.agent,
        change_id=change.change_id,
        mode_id=certificate.mode_id,
        eval_id=certificate.eval_id,
        verdict=VERDICT_SHIP,
        outcomes=[
            EvalOutcome(eval_id=e.eval_id, trials=e.trials, passed=e.passed, held=True)
            for e in certificate.evidence
        ],
        base_commit=certificate.base_commit,
        candidate_commit=certificate.candidate_tree,
        suite_commit=certificate.suite_commit,
    )
    decision.decided_at.FromDatetime(datetime.now(UTC))
    return with_release(decision, shipped)
