"""The text of a pull request: the certificate for people, and what merging it means."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate, sha256
from outerloop.gate.core.shown import Shown
from outerloop.gate.forge.inert import inert, named, quoted
from outerloop.gate.forge.model import Text

# GitHub takes 65,536 letters. What is left out is in the certificate.
_ROWS = 40
_DIAGNOSIS, _TITLE, _NAME = 8000, 100, 80
_LARGEST = 700.0  # of which the exponential is a float
_KINDS = {Kind.NEW: "new eval", Kind.HELD_OUT: "held out", Kind.PRIOR: "earlier eval", Kind.DRIFT: "drift"}


def pull_request_text(
    certificate: Certificate, *, diagnosis: str, titles: Mapping[str, str], branch: str
) -> Text:
    """What people read before they merge.

    Args:
        certificate: the proof of a change. (A rollback is no pull request: a person is asked to revert.)
        diagnosis: the proposer's words; hostile.
        titles: of evals, by id; hostile too. One that is missing is named by its id.
        branch: the release branch.
    """
    title = titles.get(certificate.eval_id, certificate.eval_id)
    template = Template(Path(__file__).with_name("pull_request.md").read_text(encoding="utf-8"))
    body = template.substitute(
        mode=named(certificate.mode_id, _NAME),
        eval=named(title, _NAME),
        author=_plain(certificate.proposed_by),
        diagnosis=quoted(diagnosis, _DIAGNOSIS),
        base=certificate.base_commit[:12],
        branch=_plain(branch),
        hashes=_hashes(certificate),
        **_proof(certificate, titles),
        **_cost(certificate),
    )
    return Text(title=_subject(title), body=body)


def _subject(text: str) -> str:
    line = inert(" ".join(text.split()))
    short = line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…"
    return f"outerloop: {short}"  # so that "Draft:" and the like mean nothing in it


def _proof(certificate: Certificate, titles: Mapping[str, str]) -> dict[str, str]:
    spending = certificate.spending
    asked = ""
    if spending is not None:
        asked = (
            f" It counts as proven from an e-value of {_amount(1 / spending.alpha)} on "
            f"(α = {spending.alpha:.2g}, index {spending.index} of a life's δ = {spending.delta:g})."
        )
    shown, left = _ordered(certificate.claims)
    counted = (
        (left, "are proven by e-values larger than these"),
        (len(certificate.inherited), "hold without a trial: the change cannot affect what they depend on"),
        (len(certificate.broken), "are not charged to the change: the base itself fails them today"),
    )
    return {
        "asked": asked,
        "claims": "\n".join(_row(claim, titles) for claim in shown),
        "others": "".join(f"\n- {count} more earlier evals {what}.\n" for count, what in counted if count),
    }


def _ordered(claims: Sequence[Shown]) -> tuple[list[Shown], int]:
    """The claims as a reader wants them, the closest earlier ones at last; how many are left out."""
    priors = sorted((claim for claim in claims if claim.kind is Kind.PRIOR), key=lambda claim: claim.up)
    others = [claim for claim in claims if claim.kind is not Kind.PRIOR]
    return [*others, *priors[:_ROWS]], max(0, len(priors) - _ROWS)


def _row(claim: Shown, titles: Mapping[str, str]) -> str:
    cells = (
        _KINDS.get(claim.kind, claim.kind),
        named(titles.get(claim.name, claim.name), _NAME),
        f"{claim.bar:.4f}".rstrip("0"),
        f"{claim.passed} of {claim.trials}",
        _amount(math.exp(min(claim.up, _LARGEST))),
    )
    return f"| {' | '.join(cells)} |"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if 10 <= value < 1e6 else f"{value:.3g}"  # noqa: PLR2004 - digits that are read


def _cost(certificate: Certificate) -> dict[str, str]:
    # The held-out claim is on trials of the new one, and drift on those of the earlier ones.
    made = [claim.trials for claim in certificate.claims if claim.kind in {Kind.NEW, Kind.PRIOR}]
    return {
        "trials": f"{sum(made):,}",
        "screened": str(certificate.screen[1]),
        "seconds": f"{certificate.seconds:,.0f}",
        "input_tokens": f"{certificate.input_tokens:,}",
        "output_tokens": f"{certificate.output_tokens:,}",
        "models": ", ".join(f"`{_plain(model)}`" for model in certificate.models) or "no model",
        "sandbox": _plain(certificate.sandbox),
    }


def _hashes(certificate: Certificate) -> str:
    rows = {
        "decision": certificate.decision_id,
        "change": certificate.change_id,
        "certificate (SHA-256)": sha256(certificate.to_json()),
        "judged head": certificate.base_commit,
        "proven tree": certificate.candidate_tree,
        "patch (SHA-256)": certificate.patch_sha256,
        "suite": certificate.suite_commit,
        "suite (SHA-256)": certificate.suite_sha256,
        "gate": certificate.gate_version,
    }
    return "".join(f"| {name} | {named(value, _NAME)} |\n" for name, value in rows.items() if value)


def _plain(text: str) -> str:
    """For code spans of our own: a name without what would end the span."""
    return inert(" ".join(text.split())).replace("`", "'")[:_NAME]
