"""Dues: what a certificate owes besides its claims: error, screen, base, inheritance and standings. Pure."""

import math
from collections.abc import Iterator

from outerloop.gate.core.bars import frozen_bar
from outerloop.gate.core.base import REPRODUCED_AT, REPRODUCED_BELOW
from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.fingerprint import MOST_CARRIED
from outerloop.gate.core.fresh import SCREEN_PASSES, SCREEN_TRIALS
from outerloop.gate.core.line import log_below
from outerloop.gate.core.spending import BASE_SHARE, DELTA, INDICES, Reserved, alpha_of
from outerloop.gate.core.standing import after, bar_to_close
from outerloop.gate.court.series import after_loss, series_of
from outerloop.gate.verify.before import Before, Held, claims_of

SLACK = 1e-9  # what another machine's logarithm may differ by


def wrong_spending(certificate: Certificate, reserved: Reserved | None) -> Iterator[str]:
    """The level is that of an index which the ledger reserved for this decision."""
    spending = certificate.spending
    if spending is None:
        yield "it says of no error that was spent on it"
        return
    if not 0 < spending.delta <= DELTA or not 1 <= spending.index <= INDICES:
        yield f"its error is index {spending.index} of {spending.delta:g}, which cannot be"
    elif not math.isclose(spending.alpha, alpha_of(spending.index, spending.delta), rel_tol=1e-9):
        yield f"its level {spending.alpha:g} is not that of index {spending.index} of {spending.delta:g}"
    if not _is_of(spending.content, certificate):
        yield f"its error was spent on {spending.content}, not on what was heard for this decision"
    if reserved is None or (reserved.index, reserved.term) != (spending.index, spending.term):
        yield f"the ledger that it names has not reserved index {spending.index} for it"


def _is_of(content: str, certificate: Certificate) -> bool:
    """Whether content names what the claims depend on. Certificates of earlier versions name the decision."""
    if not certificate.heard:
        return content == certificate.decision_id
    series = series_of(certificate.heard)
    for _ in range(INDICES):  # each that was lost has an index
        if series == content:
            return True
        series = after_loss(series)
    return False


def wrong_base(certificate: Certificate, before: Before, new: Held) -> Iterator[str]:
    """The screen, and what the base was proven to fail."""
    passed, trials = certificate.screen
    if not SCREEN_PASSES <= passed <= trials <= SCREEN_TRIALS:
        yield f"its screen has {passed} of {trials}, which does not pass"
    shown = certificate.reproduced
    line = bar_to_close(new.bar, before.standings.get(certificate.eval_id)) - REPRODUCED_BELOW
    if shown is None or not _proven_below(shown.passed, shown.trials, line, REPRODUCED_AT):
        yield f"the base is not proven to fail eval {certificate.eval_id}"
    for each in certificate.broken:
        standing, spending = before.standings.get(each.eval_id), certificate.spending
        level = BASE_SHARE * spending.alpha if spending else 0.0
        if standing and not _proven_below(each.passed, each.trials, standing.bar, level):
            yield f"the base is not proven to fail eval {each.eval_id}, which is left out as broken"


def _proven_below(passed: int, trials: int, line: float, level: float) -> bool:
    possible = 0 <= passed <= trials and 0 < level < 1
    return possible and float(log_below(passed, trials - passed, line)) >= math.log(1 / level) - SLACK


def wrong_inheritance(certificate: Certificate, before: Before) -> Iterator[str]:
    """What is inherited is what was proven last, on the same fingerprint."""
    for each in certificate.inherited:
        stood = before.standings.get(each.eval_id)
        known = (stood.fingerprint, stood.proven_by) if stood and stood.fingerprint else None
        if stood is None or (each.fingerprint, each.decision_id) != known:
            yield f"eval {each.eval_id} is not inherited from what proved it last"
        elif stood.carried >= MOST_CARRIED:
            yield f"eval {each.eval_id} is inherited, and has had no trial for {stood.carried} releases"


def wrong_standings(certificate: Certificate, before: Before, new: Held) -> Iterator[str]:
    """No bar is lowered, and every standing follows from the one before and the claims."""
    now = certificate.standings
    for name, stood in before.standings.items():
        if name in now and now[name].bar < stood.bar:
            yield f"the bar of eval {name} is lowered from {stood.bar:g} to {now[name].bar:g}"
    known = [c for c in certificate.claims if c.kind is not Kind.PRIOR or c.name in before.standings]
    if any(not 0 <= claim.passed <= claim.trials for claim in known):
        return  # said of the claim
    closed = now.get(certificate.eval_id)
    for claim in claims_of(certificate, Kind.NEW):
        if closed and closed.bar < (bar := frozen_bar(claim.passed, claim.trials, new.margin)):
            yield f"the bar of its new eval is {closed.bar:g}, and {bar:g} by the trials that closed it"
    expected = after(
        before.standings,
        claims=known,
        new_eval_margin=new.margin,
        fingerprints={name: standing.fingerprint for name, standing in now.items()},
        decision_id=certificate.decision_id,
    )
    for name in sorted(now.keys() | expected.keys()):
        if now.get(name) != expected.get(name):
            yield f"the standing of eval {name} does not follow from the claims"
