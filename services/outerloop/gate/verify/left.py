"""Left: the refs that every shipment and every rollback leaves, which tell what the branches have lost.

Those of changes and rollbacks are at a commit of the gate, which names its certificate; those of decisions at
what the release branch got, in whosever words.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from outerloop.gate.core.certificate import Certificate
from outerloop.gate.court.undone import rollback_ref
from outerloop.gate.release.ship import change_ref, decision_ref
from outerloop.gate.verify.branches import Finding
from outerloop.gate.verify.releases import read
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import succeed


@dataclass(frozen=True, slots=True)
class Left:
    """A ref, the commit that it is at, and the hash of the certificate that this names ("": none)."""

    ref: str
    commit: str
    certificate: str
    on_branch: bool


async def left_behind(repository: Repository, head: str) -> list[Left]:
    """What was left; `head` is the release branch's, which should have all of it."""
    refs = await _refs(repository)
    missing = {ref for ref, _ in await _refs(repository, f"--no-merged={head}")}
    commits = await read(repository, [commit for _, commit in refs])
    return [
        Left(ref, commit, release.trailers.get("Certificate", ""), ref not in missing)
        for (ref, commit), release in zip(refs, commits, strict=True)
    ]


async def _refs(repository: Repository, *flags: str) -> list[tuple[str, str]]:
    places = (change_ref(""), decision_ref(""), rollback_ref(""))
    shape = "--format=%(objectname) %(refname)"
    listed = (await succeed(repository.directory, "for-each-ref", *flags, shape, *places)).decode()
    return [(ref, commit) for commit, _, ref in (line.partition(" ") for line in listed.splitlines())]


def lost(left: Collection[Left], certificates: Mapping[str, Certificate], branch: str) -> Iterator[Finding]:
    """What was shipped and has no certificate any more, one finding a commit; `certificates` are by hash.

    Whether a certificate has its commit is asked of every certificate, so that is not asked here.
    """
    decisions = {each.decision_id for each in certificates.values()}
    told = set[str]()
    for each in left:
        if each.commit in told or _is_known(each, certificates, decisions):
            continue
        told.add(each.commit)
        gone = "" if each.on_branch else f", and {branch} does not have it"
        yield Finding(each.commit, f"{each.ref} is at it, and no certificate of the suite says so{gone}")


def _is_known(left: Left, certificates: Mapping[str, Certificate], decisions: Collection[str]) -> bool:
    if left.ref.startswith(decision_ref("")):
        return left.ref.removeprefix(decision_ref("")) in decisions
    certificate = certificates.get(left.certificate)
    if certificate is None:
        return False
    if certificate.kind == "rollback":
        undone = left.ref.removeprefix(rollback_ref(""))
        return certificate.decision_id == stable_id("rollback", undone)
    return left.ref == change_ref(certificate.change_id)
