"""Claims: a certificate held against what was certified before it. Pure: every figure is computed again."""

import math
from collections import Counter
from collections.abc import Iterator

from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.claim import Bet, bets, blind_bet
from outerloop.gate.core.drift import strata
from outerloop.gate.core.fresh import HELD_OUT_SLACK
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.spending import Reserved
from outerloop.gate.core.standing import bar_to_close
from outerloop.gate.verify import dues
from outerloop.gate.verify.before import Before, Held, claims_of
from outerloop.gate.verify.dues import SLACK


def wrong_with(
    certificate: Certificate, before: Before, new: Held | None, reserved: Reserved | None
) -> list[str]:
    """What is wrong with a certificate, a sentence each.

    Args:
        certificate: of a change or of a rollback.
        before: what the suite was when it was added.
        new: the eval that it closes, from the suite as it left it; None if the suite has none of that id.
        reserved: what its decision held in the ledger that the certificate names; None if nothing.
    """
    said = ("suite_commit", "suite_sha256", "previous")
    found = [
        f"its {name} is {getattr(certificate, name) or 'none'}, and was {getattr(before, name) or 'none'}"
        for name in said
        if getattr(certificate, name) != getattr(before, name)
    ]
    if certificate.kind == "rollback":
        return [*found, *_wrong_with_rollback(certificate, before)]
    if new is None:
        return [*found, f"the suite does not have eval {certificate.eval_id}, which it closes"]
    checks = (
        _not_answered_for(certificate, before),
        _not_asked(certificate, before, new),
        unproven(certificate),
        dues.wrong_spending(certificate, reserved),
        dues.wrong_base(certificate, before, new),
        dues.wrong_inheritance(certificate, before),
        dues.wrong_standings(certificate, before, new),
    )
    return found + [what for check in checks for what in check]


def _wrong_with_rollback(certificate: Certificate, before: Before) -> Iterator[str]:
    proof = (certificate.claims, certificate.inherited, certificate.broken)
    if any(proof) or certificate.spending or certificate.reproduced:
        yield "a rollback claims nothing and spends nothing, and this one does"
    if dict(certificate.standings) != dict(before.standings):
        yield "a rollback leaves every bar as it is, and this one does not"


def _not_answered_for(certificate: Certificate, before: Before) -> Iterator[str]:
    """Every eval of the suite is proven, inherited or broken, once, with the content it has."""
    priors = [(claim.name, claim.content_sha256) for claim in claims_of(certificate, Kind.PRIOR)]
    others = [(e.eval_id, e.content_sha256) for e in certificate.inherited]
    others += [(e.eval_id, e.content_sha256) for e in certificate.broken]
    times = Counter(name for name, _ in priors + others)
    expected = before.evals.keys() - {certificate.eval_id}
    yield from (f"it says nothing of eval {name}" for name in sorted(expected - times.keys()))
    yield from (
        f"it speaks of {name}, which was not to be proven" for name in sorted(times.keys() - expected)
    )
    yield from (f"it speaks of eval {name} {n} times" for name, n in sorted(times.items()) if n > 1)
    for name, content in priors + others:
        if name in before.evals and before.evals[name].content_sha256 != content:
            yield f"it is of another content of eval {name} than the suite has"


def _not_asked(certificate: Certificate, before: Before, new: Held) -> Iterator[str]:
    """The claims are those that had to be made, with the bars and bets that were fixed before."""
    fresh = claims_of(certificate, Kind.NEW)
    if [(claim.name, claim.content_sha256) for claim in fresh] != [(certificate.eval_id, new.content_sha256)]:
        yield f"it does not claim its new eval {certificate.eval_id} once, as it is in the suite"
    bar = bar_to_close(new.bar, before.standings.get(certificate.eval_id))
    for claim in fresh:
        yield from _other_bet(claim, blind_bet(bar))
    held_out = claims_of(certificate, Kind.HELD_OUT)
    if len(held_out) != (new.variants > 0):
        yield f"it has {len(held_out)} claims on held-out variants, of which its new eval has {new.variants}"
    for claim in held_out:
        if (claim.name, claim.content_sha256) != (certificate.eval_id, new.content_sha256):
            yield f"its held_out claim is on {claim.name}"
        yield from _other_bet(claim, blind_bet(bar - HELD_OUT_SLACK))
    priors = [claim for claim in claims_of(certificate, Kind.PRIOR) if claim.name in before.standings]
    stood = [before.standings[claim.name] for claim in priors]
    for claim, bet in zip(priors, bets([(s.bar, s.passed, s.trials) for s in stood]), strict=True):
        yield from _other_bet(claim, bet)
    drift = {claim.name: claim for claim in claims_of(certificate, Kind.DRIFT)}
    expected = {stratum.name: stratum.bet for stratum in strata([s.anchor for s in stood])}
    if drift.keys() != expected.keys():
        yield f"its claims on drift are of {sorted(drift)}, and not of {sorted(expected)}"
    for name in drift.keys() & expected.keys():
        yield from _other_bet(drift[name], expected[name])


def _other_bet(claim: Shown, bet: Bet) -> Iterator[str]:
    pairs = (("bar", claim.bar, bet.bar), ("p1", claim.p1, bet.p1), ("g", claim.g, bet.g))
    for name, says, was in pairs:
        if not math.isclose(says, was, rel_tol=1e-6):
            yield f"its {claim.kind} claim on {claim.name} has {name} {says:g}, and {was:g} was fixed before"


def unproven(certificate: Certificate) -> Iterator[str]:
    """Every claim reaches the level that was spent on it."""
    spending = certificate.spending
    if spending is None or not 0 < spending.alpha < 1:
        return  # said by dues.wrong_spending
    for claim in certificate.claims:
        try:
            up = claim.up
        except ValueError as error:
            yield f"its {claim.kind} claim on {claim.name} is none: {error}"
            continue
        if up < math.log(1 / spending.alpha) - SLACK:
            yield (
                f"its {claim.kind} claim on {claim.name} is not proven: {claim.passed} of {claim.trials}"
                f" have an e-value of {math.exp(up):.4g}, and {1 / spending.alpha:.4g} is needed"
            )
