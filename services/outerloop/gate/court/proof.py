"""Proof: the certificate of a change that was heard and holds."""

from outerloop.gate.core.case import Kind, Terms
from outerloop.gate.core.certificate import Certificate, Spending
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import after
from outerloop.gate.court.hearing import Heard
from outerloop.gate.court.matter import Matter
from outerloop.gate.release.ledger import Reservation


def certificate_of(matter: Matter, heard: Heard, *, sandbox: str, gate_version: str) -> Certificate:
    """What ships with the change.

    Raises:
        ValueError: if it was not confirmed, or closes no eval: then nothing ships.
    """
    change, candidate, new = matter.change, matter.candidate, matter.new
    if heard.verdict is None or heard.reserved is None or new is None:
        raise ValueError("what was not confirmed has no certificate")
    claims = tuple(
        Shown.of(claim, "" if claim.kind is Kind.DRIFT else matter.contents[claim.name])
        for claim in heard.verdict.claims
    )
    return Certificate(
        kind="change",
        decision_id=candidate.decision_id,
        agent=change.agent,
        mode_id=change.mode_id,
        eval_id=new.eval.id,
        change_id=change.change_id,
        base_commit=candidate.head,
        patch_sha256=candidate.patch_sha256,
        candidate_tree=candidate.tree,
        suite_commit=matter.suite.commit,
        suite_sha256=matter.suite.sha256,
        spending=_spending(heard.reserved),
        heard=matter.heard,
        screen=heard.verdict.screen,
        claims=claims,
        inherited=matter.inherited,
        broken=heard.broken,
        reproduced=heard.reproduced,
        reverts="",
        reason="",
        standings=after(
            matter.standings,
            claims=claims,
            new_eval_margin=new.eval.margin,
            fingerprints=matter.fingerprints,
            decision_id=candidate.decision_id,
        ),
        sandbox=sandbox,
        models=tuple(sorted({model for record in heard.records for model in record.models})),
        proposed_by=change.model,
        input_tokens=sum(record.input_tokens for record in heard.records),
        output_tokens=sum(record.output_tokens for record in heard.records),
        seconds=round(sum(record.seconds for record in heard.records), 3),
        gate_version=gate_version,
        previous=matter.suite.last_certificate,
    )


def _spending(reserved: Reservation) -> Spending:
    return Spending(
        content=reserved.content,
        term=reserved.term,
        index=reserved.index,
        delta=reserved.delta,
        alpha=reserved.alpha,
        beta=Terms(alpha=reserved.alpha).beta,
        ledger_commit=reserved.commit,
    )
