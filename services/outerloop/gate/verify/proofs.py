"""Proofs: the certificates of the suite branch, one after another, each held against the one before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from outerloop.evals.suite import entry_of, sha256_of
from outerloop.evals.tombstone import Tombstone
from outerloop.gate.core.certificate import Certificate, sha256
from outerloop.gate.core.entries import Renewal
from outerloop.gate.core.standing import Standing
from outerloop.gate.verify import claims, inheritance
from outerloop.gate.verify.before import Before, Held
from outerloop.gate.verify.branches import (
    Buried,
    Certified,
    Finding,
    History,
    Spent,
    ledger_history,
    suite_history,
)
from outerloop.gate.verify.clone import FETCH, Clone
from outerloop.gate.verify.freed import wrongly_freed
from outerloop.runtime.errors import UserError


@dataclass(frozen=True, slots=True)
class Proof:
    """A certificate, its claims and standings left out, and what is wrong with it."""

    summary: Certificate
    added_by: str
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retired:
    """An eval that binds no longer: which commit of the suite branch says so, who, and why."""

    commit: str
    eval_id: str
    by: str
    why: str
    at: datetime


@dataclass(slots=True)
class Proofs:
    """The certificates by their hashes, what people renewed or retired, what is wrong with the branches."""

    by_hash: dict[str, Proof] = field(default_factory=dict)
    renewals: Sequence[Renewal] = ()
    retired: list[Retired] = field(default_factory=list[Retired])
    found: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Course:
    """What the suite has come to, on the way through the certificates."""

    evals: dict[str, Held] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    previous: str = ""
    earlier: dict[str, Certificate] = field(default_factory=dict)  # by decision
    ledger: str = ""  # the commit of the ledger that was named last


async def read_proofs(clone: Clone, asked: Callable[[str, Certificate], bool]) -> Proofs:
    """All certificates; held against what was before if they, and their hashes, are `asked` for.

    Raises:
        UserError: if error was spent and the clone has no ledger.
    """
    history = await suite_history(clone.repository, clone.suite) if clone.suite else History()
    spent = await ledger_history(clone.repository, clone.ledger) if clone.ledger else None
    proofs, course = Proofs(found=history.found), _Course()
    for each in history.certified:
        where = f"certificates/{each.decision_id}.json"
        content = (await clone.repository.blobs([each.blob]))[each.blob]
        try:
            certificate = Certificate.from_json(content, where)
            new = await _new_evals(clone, each)
            await _bury(clone, each.retired, course, proofs)
        except UserError as error:
            proofs.found.append(Finding(each.added_by, str(error)))
            continue
        if certificate.ledger_known and spent is None:
            raise UserError(
                f"no error ledger is here: {FETCH} (if that brings none, somebody has removed it)"
            )
        wrong: list[str] = []
        if asked(sha256(content), certificate):
            wrong = _wrong(certificate, each, course, new, spent)
            wrong += await inheritance.wrong_with(clone.repository, certificate, course.earlier)
        summary = replace(certificate, claims=(), standings={}, inherited=(), broken=())
        proofs.by_hash[sha256(content)] = Proof(summary, each.added_by, tuple(wrong))
        course.earlier[certificate.decision_id] = summary
        course.evals |= new
        course.standings, course.previous = certificate.standings, sha256(content)
        course.ledger = certificate.ledger_known or course.ledger
    await _bury(clone, history.retired, course, proofs)
    if spent is not None:
        proofs.renewals = spent.renewals
        proofs.found += spent.found
        proofs.found += await wrongly_freed(clone.repository, spent, course.earlier.values())
    return proofs


def _wrong(
    certificate: Certificate,
    added: Certified,
    course: _Course,
    new: Mapping[str, Held],
    spent: Spent | None,
) -> list[str]:
    before = Before(
        suite_commit=added.parent,
        suite_sha256=sha256_of({name: held.content_sha256 for name, held in course.evals.items()}),
        evals=course.evals,
        standings=course.standings,
        previous=course.previous,
    )
    spending = certificate.spending
    reserved = spent.reservation(spending.ledger_commit, spending.content) if spending and spent else None
    closed = {**course.evals, **new}.get(certificate.eval_id)
    wrong = claims.wrong_with(certificate, before, closed, reserved)
    if (
        certificate.kind == "rollback"
        and spent
        and not spent.follows(certificate.ledger_commit, course.ledger)
    ):
        named = certificate.ledger_commit or "none"
        wrong.append(
            f"the ledger that it names ({named}) is not what had become of {course.ledger or 'none'}"
        )
    if added.decision_id != certificate.decision_id:
        wrong.append(f"its file is certificates/{added.decision_id}.json, and not of its decision")
    wrong += [
        f"eval {name} came with it, and it closes another" for name in new.keys() - {certificate.eval_id}
    ]
    return wrong


async def _bury(clone: Clone, buried: Sequence[Buried], course: _Course, proofs: Proofs) -> None:
    """Take out what a person has retired, and keep who did and why: it is asked of no later certificate."""
    contents = await clone.repository.blobs([each.blob for each in buried])
    for each in buried:
        try:
            stone = Tombstone.from_json(contents[each.blob], each.path)
        except UserError as error:
            proofs.found.append(Finding(each.commit, str(error)))
            continue
        held = course.evals.pop(stone.eval_id, None)
        if held is None or held.content_sha256 != stone.content_sha256:
            proofs.found.append(Finding(each.commit, f"{each.path} is of no eval that the suite held then"))
        if not stone.retired_by.strip() or not stone.reason.strip():
            proofs.found.append(Finding(each.commit, f"{each.path} does not say who retired it, and why"))
        proofs.retired.append(
            Retired(each.commit, stone.eval_id, stone.retired_by, stone.reason, stone.retired_at)
        )


async def _new_evals(clone: Clone, added: Certified) -> dict[str, Held]:
    """The evals that came with a certificate, by their ids.

    Raises:
        UserError: if one is not whole, or cannot be read, or goes by another id than its folder's.
    """
    contents = await clone.repository.blobs(added.evals.values())
    texts = {path: contents[blob] for path, blob in added.evals.items()}
    held: dict[str, Held] = {}
    for name in sorted({path.split("/")[1] for path in texts}):
        entry = entry_of(texts, name)
        held[name] = Held(
            content_sha256=entry.content_sha256,
            bar=entry.eval.bar,
            margin=entry.eval.margin,
            variants=len(entry.held_out),
        )
    return held
