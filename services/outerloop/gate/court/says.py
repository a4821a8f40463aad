"""What the gate says of a change: its decision as a message, with the evidence behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_DRIFT,
    OBSTACLE_HELD_OUT,
    OBSTACLE_NEW_EVAL,
    OBSTACLE_NOT_REPRODUCED,
    OBSTACLE_PERSON,
    OBSTACLE_PRIOR_EVAL,
    OBSTACLE_UNDECIDED,
    OBSTACLE_UNSPECIFIED,
    VERDICT_INCONCLUSIVE,
    VERDICT_REJECT,
    VERDICT_SHIP,
    ClaimShown,
    DecisionReached,
    EvalOutcome,
    Obstacle,
)
from outerloop.evals.suite import Suite
from outerloop.gate.core.case import Kind, Outcome, Verdict
from outerloop.gate.core.certificate import Broken, Certificate
from outerloop.gate.core.claim import State
from outerloop.gate.core.fresh import SCREEN_TRIALS
from outerloop.gate.core.shown import Shown
from outerloop.gate.court.candidate import Candidate, Refused
from outerloop.gate.court.hearing import Heard
from outerloop.gate.court.matter import Matter
from outerloop.gate.release.ship import Shipped
from outerloop.gate.trials.bench import Subject
from outerloop.runtime.envelope import stable_id
from outerloop.store.trials import TrialRecord

_REASONS = 5
_HIDDEN = "the new eval passes, but variants of it that nobody was shown do not"
_OBSTACLES: dict[Kind, Obstacle] = {
    Kind.SCREEN: OBSTACLE_NEW_EVAL,
    Kind.NEW: OBSTACLE_NEW_EVAL,
    Kind.HELD_OUT: OBSTACLE_HELD_OUT,
    Kind.PRIOR: OBSTACLE_PRIOR_EVAL,
    Kind.DRIFT: OBSTACLE_DRIFT,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision, and the earlier evals that turned out broken in the base itself."""

    decision: DecisionReached
    broken: tuple[Broken, ...] = ()


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


def verdict(matter: Matter, heard: Heard) -> DecisionReached:
    """The decision that a hearing came to; if it did not ship, why, in a sentence for the next attempt."""
    change, candidate, suite = matter.change, matter.candidate, matter.suite
    found = heard.verdict
    if found is None:
        return decision(
            change, candidate, suite, obstacle=OBSTACLE_NOT_REPRODUCED, reason=_not_reproduced(heard)
        )
    outcomes = _outcomes(matter, found, heard.records)
    stop, hidden = found.stop, _is_hidden(matter, found, outcomes)
    obstacle = _OBSTACLES[stop.kind] if stop and stop.kind else OBSTACLE_UNSPECIFIED
    if found.outcome is Outcome.INCONCLUSIVE:
        obstacle = OBSTACLE_UNDECIDED
    elif hidden:
        obstacle = OBSTACLE_HELD_OUT
    reason = "" if heard.ships else _HIDDEN if hidden else _reason(found, outcomes)
    # Of variants that nobody was shown the proposer learns one bit, the verdict: no counts.
    told = [] if hidden else outcomes
    said = decision(change, candidate, suite, obstacle=obstacle, reason=reason, outcomes=told)
    if found.outcome is Outcome.INCONCLUSIVE:
        said.verdict = VERDICT_INCONCLUSIVE
    made = [claim for claim in found.claims if claim.trials and claim.kind is not Kind.HELD_OUT]
    said.claims.extend(_shown(Shown.of(claim, ""), claim.state) for claim in made)
    said.series = heard.series
    if heard.reserved is not None:
        said.alpha, said.ledger_index = heard.reserved.alpha, heard.reserved.index
    return said


def _is_hidden(matter: Matter, found: Verdict, outcomes: Sequence[EvalOutcome]) -> bool:
    """Whether what rejects the change is in variants alone: the eval does well enough as it is shown."""
    stop = found.stop if found.outcome is Outcome.REJECT else None
    kind = stop.kind if stop else None
    if kind is not Kind.NEW or matter.new is None or not matter.new.held_out:
        return kind is Kind.HELD_OUT
    shown = next(outcome for outcome in outcomes if outcome.eval_id == matter.new.eval.id)
    bar = next(claim.bar for claim in found.claims if claim.kind is Kind.NEW)
    return shown.passed >= bar * shown.trials


def _outcomes(matter: Matter, found: Verdict, records: Sequence[TrialRecord]) -> list[EvalOutcome]:
    """How each eval did whose claim is decided, or that is why it does not go on."""
    stop = found.stop
    if stop and stop.kind is Kind.SCREEN:
        return [_outcome(matter, stop.name, found.screen, records, held=False)]
    return [
        _outcome(
            matter, claim.name, (claim.passes, claim.trials), records, held=claim.state is State.CERTIFIED
        )
        for claim in found.claims
        if claim.kind in {Kind.NEW, Kind.PRIOR}
        and (claim.state is not State.OPEN or (stop and (stop.kind, stop.name) == (claim.kind, claim.name)))
    ]


def _outcome(
    matter: Matter, eval_id: str, counts: tuple[int, int], records: Sequence[TrialRecord], *, held: bool
) -> EvalOutcome:
    # Of a held-out variant nothing may be told but the verdict.
    mine = [r for r in records if r.eval_id == eval_id and r.subject == Subject.CANDIDATE and not r.variant]
    if any(r.variant for r in records if r.eval_id == eval_id):
        counted = [r.passed for r in mine if r.number >= SCREEN_TRIALS]
        counts = (sum(counted), len(counted))
    reasons = dict.fromkeys(reason for record in mine for reason in record.reasons)
    return EvalOutcome(
        eval_id=eval_id,
        title=matter.entries[eval_id].eval.title,
        trials=counts[1],
        passed=counts[0],
        held=held,
        reasons=list(reasons)[:_REASONS],
        divergences=sum(record.divergences for record in mine),
    )


def _reason(found: Verdict, outcomes: Sequence[EvalOutcome]) -> str:
    stop = found.stop
    if found.outcome is Outcome.INCONCLUSIVE:
        open_claims = ", ".join(f"{claim.kind} {claim.name}" for claim in found.undecided[:_REASONS])
        more = f"about {found.expected} more would decide" if found.expected else "more would hardly decide"
        return f"undecided after {found.trials} trials ({more}); open: {open_claims}"
    if stop is None:
        return ""
    claim = next((c for c in found.claims if (c.kind, c.name) == (stop.kind, stop.name)), None)
    counts = f"passed {claim.passes} of {claim.trials} trials, and its bar is {claim.bar:g}" if claim else ""
    if stop.kind is Kind.DRIFT:
        return f"every earlier eval holds, but the {stop.name} ones together have become worse: {counts}"
    broken = next(outcome for outcome in outcomes if outcome.eval_id == stop.name)
    prior = stop.kind is Kind.PRIOR
    which = "an earlier eval does not pass any more" if prior else "the new eval does not pass"
    counts = f"passed {broken.passed} of {broken.trials} trials" + (f" (bar {claim.bar:g})" if claim else "")
    return f'{which}: "{broken.title}" {counts}: ' + "; ".join(broken.reasons)


def _not_reproduced(heard: Heard) -> str:
    shown = heard.reproduced
    counts = f"{shown.passed} of {shown.trials} trials of the new eval" if shown else "the new eval"
    return f"the base passes {counts}: it cannot be proven that there is still something to mend"


def _shown(claim: Shown, state: State) -> ClaimShown:
    return ClaimShown(
        kind=claim.kind.value,
        name=claim.name,
        state=state.value,
        bar=claim.bar,
        passed=claim.passed,
        trials=claim.trials,
        log_e_above=claim.up,
        log_e_below=claim.dn,
    )


def with_release(decision: DecisionReached, shipped: Shipped) -> DecisionReached:
    """The decision, completed with what the push made."""
    decision.shipped_commit = shipped.commit
    decision.certificate_sha256 = shipped.certificate_sha256
    decision.reason = f"shipped as {shipped.commit[:12]}"
    return decision


def recovered(change: ChangeProposed, shipped: Shipped) -> Judged:
    """The verdict on a change that shipped before the gate could say so, from its certificate."""
    certified = _certified(change, shipped.certificate)
    return Judged(with_release(certified, shipped), shipped.certificate.broken)


def declined(change: ChangeProposed, certificate: Certificate, reason: str) -> Judged:
    """The verdict on a change that the gate had proven, and that people did not take as it was."""
    said = _certified(change, certificate)
    said.verdict, said.obstacle, said.reason = VERDICT_REJECT, OBSTACLE_PERSON, reason
    return Judged(said, certificate.broken)


def retired(change: ChangeProposed, reason: str) -> Judged:
    """The decision on a change whose eval binds no longer: there is nothing that it could close."""
    decision = DecisionReached(
        decision_id=stable_id("retired", change.change_id),
        agent=change.agent,
        change_id=change.change_id,
        mode_id=change.mode_id,
        eval_id=change.eval_id,
        verdict=VERDICT_REJECT,
        obstacle=OBSTACLE_PERSON,
        reason=reason,
        base_commit=change.base_commit,
    )
    decision.decided_at.FromDatetime(datetime.now(UTC))
    return Judged(decision)


def _certified(change: ChangeProposed, certificate: Certificate) -> DecisionReached:
    spending = certificate.spending
    said = DecisionReached(
        decision_id=certificate.decision_id,
        agent=change.agent,
        change_id=change.change_id,
        mode_id=certificate.mode_id,
        eval_id=certificate.eval_id,
        verdict=VERDICT_SHIP,
        outcomes=[
            EvalOutcome(eval_id=claim.name, trials=claim.trials, passed=claim.passed, held=True)
            for claim in certificate.claims
            if claim.kind in {Kind.NEW, Kind.PRIOR}
        ],
        base_commit=certificate.base_commit,
        candidate_commit=certificate.candidate_tree,
        suite_commit=certificate.suite_commit,
        claims=[_shown(claim, State.CERTIFIED) for claim in certificate.claims],
        series=spending.content if spending else "",
        alpha=spending.alpha if spending else 0.0,
        ledger_index=spending.index if spending else 0,
    )
    said.decided_at.FromDatetime(datetime.now(UTC))
    return said
