"""Standing: what each eval of the suite must keep and what its base has shown, as certificates carry it on.

A certificate carries the standings of all evals as they are after it, so the last one alone tells them. What
a base has shown tunes bets, and so costs; bars and anchors are frozen when an eval is closed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from outerloop.gate.core.bars import HIGHEST, frozen_bar, raised, shown_rate
from outerloop.gate.core.case import Kind
from outerloop.gate.core.shown import Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An eval's frozen `bar` and `anchor` (its rate at closing), and `passed` of `trials` of its base.

    `proven_by` is the decision that last tried it, with what it depends on at `fingerprint` ("": unknown);
    `carried` how many releases since then have not.
    """

    bar: float
    anchor: float
    passed: int
    trials: int
    fingerprint: str = ""
    proven_by: str = ""
    carried: int = 0


_UNKNOWN: Mapping[str, str] = MappingProxyType({})


def after(
    before: Mapping[str, Standing],
    *,
    claims: Iterable[Shown],
    new_eval_margin: float,
    fingerprints: Mapping[str, str] = _UNKNOWN,
    decision_id: str = "",
) -> dict[str, Standing]:
    """The standings, by eval id, once the change with these `claims` has shipped by this decision.

    `fingerprints` are, by eval id, of what each eval depends on at the candidate. The new eval is closed: see
    `closed`. A prior one keeps bar and anchor, and the change is its base now, so its trials are history
    (without it a base that was lucky at first is held to that for ever, and blocks good changes). What has no
    claim (inherited, or broken in the base) stays as it is, and is one release older.

    Raises:
        KeyError: for a claim on a prior eval that has no standing.
    """
    standings = {eval_id: replace(old, carried=old.carried + 1) for eval_id, old in before.items()}
    for claim in claims:
        if claim.kind is Kind.PRIOR:
            now = _fed(before[claim.name], claim)
        elif claim.kind is Kind.NEW:
            now = closed(before.get(claim.name), claim, new_eval_margin)
        else:
            continue
        fingerprint = fingerprints.get(claim.name, "")
        standings[claim.name] = replace(now, fingerprint=fingerprint, proven_by=decision_id)
    return standings


def bar_to_close(asked: float, old: Standing | None) -> float:
    """The bar that the new claim on an eval must prove: what the eval asks, and no less than is frozen."""
    return asked if old is None else min(raised(old.bar, asked), HIGHEST)


def _fed(old: Standing, claim: Shown) -> Standing:
    return replace(old, passed=old.passed + claim.passed, trials=old.trials + claim.trials, carried=0)


def closed(old: Standing | None, claim: Shown, margin: float) -> Standing:
    """The standing of an eval that `claim` closes; of one that was closed before, none of it is lowered."""
    bar = frozen_bar(claim.passed, claim.trials, margin)
    anchor = shown_rate(claim.passed, claim.trials)
    if old is not None:
        bar, anchor = raised(old.bar, bar), raised(old.anchor, anchor)
    return Standing(bar=bar, anchor=anchor, passed=claim.passed, trials=claim.trials)
