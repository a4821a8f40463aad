"""Report: every commit that was shipped, and what is wrong with it, or with the proof that it came with."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.entries import Renewal
from outerloop.gate.verify import releases
from outerloop.gate.verify.branches import Finding
from outerloop.gate.verify.clone import FETCH, Clone
from outerloop.gate.verify.left import left_behind, lost
from outerloop.gate.verify.merges import line_of, merged_by, merges_of
from outerloop.gate.verify.proofs import Proofs, Retired, read_proofs
from outerloop.gate.verify.releases import Release, is_of, not_done, releases_of
from outerloop.runtime.errors import UserError


@dataclass(frozen=True, slots=True)
class Verified:
    """A commit that was shipped, or says so. `kind` and `decision_id` are its certificate's, "": none."""

    commit: str
    kind: str
    decision_id: str
    signed: bool
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified; `found` is wrong with the branches that carry the proof.

    `renewals` of the error that may be made are not wrong, but add up; nor are evals that people `retired`.
    """

    verified: tuple[Verified, ...]
    found: tuple[Finding, ...]
    renewals: tuple[Renewal, ...]
    retired: tuple[Retired, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong."""
        return (
            *(Finding(each.commit, what) for each in self.verified for what in each.wrong),
            *self.found,
        )


async def verify(clone: Clone, revision: str = "") -> Report:
    """Verify the shipped commits of `revision` (a commit, A..B, or "": all of the release branch).

    Raises:
        UserError: if it names nothing that was shipped, or the clone has not the refs that carry the proof.
    """
    repository, revisions = clone.repository, await _revisions(clone, revision)
    shipped, left = await releases_of(repository, clone.head), await left_behind(repository, clone.head)
    if (shipped or left) and not clone.suite:
        raise UserError(f"no suite branch is here: {FETCH} (if that brings none, somebody has removed it)")
    chosen, line = await releases_of(repository, *revisions), await line_of(repository, *revisions)
    names = {_named(each) for each in chosen}
    proofs = await read_proofs(clone, lambda name, of: name in names or bool(merged_by(of, line)))
    certificates = {name: proof.summary for name, proof in proofs.by_hash.items()}
    merges = await merges_of(repository, await line_of(repository, clone.head), certificates)
    chosen += _unsaid(merges, chosen, {*line.values()}, certificates)
    if revision and not chosen and ".." not in revision:
        raise UserError(f"{revision} was not shipped by outerloop: its message has no trailer that says so")
    real = [each for each in shipped if _does(each, certificates)]
    summaries = {each.commit: certificates[_named(each)] for each in (*merges, *real)}
    verified = [await _verified(clone, each, proofs, summaries) for each in chosen]
    found = [*proofs.found, *_used_again(real)]
    if not revision:
        found += _not_shipped(proofs, summaries)
        told = {each.commit for each in verified if each.wrong}
        found += lost([each for each in left if each.commit not in told], certificates, clone.branch)
    return Report(tuple(verified), tuple(found), tuple(proofs.renewals), tuple(proofs.retired))


async def _revisions(clone: Clone, revision: str) -> Sequence[str]:
    """For `git rev-list`."""
    if not revision:
        return (clone.head,)
    since, dots, until = revision.partition("..")
    if not dots:
        return ("--no-walk", await clone.commit(revision))
    return (await clone.commit(until or "HEAD"), f"^{await clone.commit(since or 'HEAD')}")


def _named(release: Release) -> str:
    return release.trailers.get("Certificate", "")


def _does(release: Release, certificates: Mapping[str, Certificate]) -> bool:
    certificate = certificates.get(_named(release))
    return certificate is not None and is_of(release, certificate)


def _unsaid(
    merges: Sequence[Release],
    chosen: Sequence[Release],
    commits: Collection[str],
    certificates: Mapping[str, Certificate],
) -> list[Release]:
    """The merges among `commits` that are of no certificate which one of `chosen` names and is of."""
    said = {_named(each) for each in chosen if _does(each, certificates)}
    told = {each.commit for each in chosen}
    return [e for e in merges if e.commit in commits and e.commit not in told and _named(e) not in said]


async def _verified(
    clone: Clone, release: Release, proofs: Proofs, summaries: Mapping[str, Certificate]
) -> Verified:
    proof = proofs.by_hash.get(_named(release))
    if proof is None:
        what = f"the suite branch has no certificate {_named(release) or '(its message names none)'}"
        return Verified(release.commit, "", "", release.signed, (what,))
    if not is_of(release, proof.summary):
        what = "; ".join(not_done(release, proof.summary))
        return Verified(release.commit, "", "", release.signed, (what,))
    wrong = await releases.wrong_with(clone.repository, release, proof.summary, summaries)
    about = (proof.summary.kind, proof.summary.decision_id, release.signed)
    return Verified(release.commit, *about, (*wrong, *proof.wrong))


def _used_again(real: Sequence[Release]) -> Iterator[Finding]:
    times = Counter(_named(each) for each in real)
    for each in real:
        if times[_named(each)] > 1:
            yield Finding(each.commit, "another commit of the branch names the same certificate")


def _not_shipped(proofs: Proofs, summaries: Mapping[str, Certificate]) -> Iterator[Finding]:
    known = {summary.decision_id for summary in summaries.values()}
    for proof in proofs.by_hash.values():
        if proof.summary.decision_id not in known:
            what = f"certificate {proof.summary.decision_id} is of no commit of the release branch"
            yield from (Finding(proof.added_by, said) for said in (what, *proof.wrong))
