"""Releases: the commits that say they were shipped, held against what their certificate says of them."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from outerloop.gate.core.certificate import Certificate
from outerloop.gate.production.rollback import inverse
from outerloop.runtime.agentfile import AgentFile, agentfile_at, is_protected
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import PatchConflictError, Repository
from outerloop.runtime.git.process import succeed
from outerloop.runtime.globs import matches
from outerloop.runtime.invariants import violations

_TRAILER = re.compile(r"^Outerloop-(Mode|Eval|Decision|Certificate): (\S+)$", re.MULTILINE)
_SAID = 5  # violations named in a finding


@dataclass(frozen=True, slots=True)
class Release:
    """A commit with trailers of ours, by their names. `signed`: it carries a signature, of whomever."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    trailers: Mapping[str, str]
    signed: bool


async def releases_of(repository: Repository, *revisions: str) -> list[Release]:
    """The commits of `revisions` (for `git rev-list`) that say they were shipped, the oldest first."""
    flags = ("--reverse", "--topo-order", "--basic-regexp", "--grep=^Outerloop-[A-Z]")
    listed = await succeed(repository.directory, "rev-list", *flags, *revisions, "--")
    said = [release for release in await read(repository, listed.decode().split()) if release.trailers]
    merged = await read(repository, [release.parents[1] for release in said if len(release.parents) > 1])
    by_commit = {release.commit: release for release in merged}
    return [release for release in said if not _repeats(release, by_commit)]


async def read(repository: Repository, commits: Sequence[str]) -> list[Release]:
    """These commits, with such trailers as they have."""
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    out = await succeed(repository.directory, "cat-file", "--batch", stdin=asked)
    found, at = [], 0
    for commit in commits:
        end = out.index(b"\n", at)
        size = int(out[at:end].split()[2])
        found.append(_release(commit, out[end + 1 : end + 1 + size].decode(errors="replace")))
        at = end + 1 + size + 1
    return found


def _repeats(release: Release, by_commit: Mapping[str, Release]) -> bool:
    """Whether a merge says and does what the commit that it merges says and does: it is none besides."""
    merged = by_commit.get(release.parents[1]) if len(release.parents) > 1 else None
    if merged is None or merged.trailers != release.trailers:
        return False
    return (release.parents[:1], release.tree) == (merged.parents, merged.tree)


def _release(commit: str, content: str) -> Release:
    header, _, message = content.partition("\n\n")
    lines = [line.partition(" ") for line in header.split("\n")]
    named = [(name, value) for name, _, value in lines if name]
    last = message.rstrip().split("\n\n")[-1]  # what stands further up is a quotation
    return Release(
        commit=commit,
        tree=dict(named)["tree"],
        parents=tuple(value for name, value in named if name == "parent"),
        trailers=dict(_TRAILER.findall(last)),
        signed=any(name.startswith("gpgsig") for name, _ in named),
    )


async def wrong_with(
    repository: Repository, release: Release, certificate: Certificate, shipped: Mapping[str, Certificate]
) -> list[str]:
    """What is wrong with a commit, by the certificate that its trailer names, and that is of it (`is_of`).

    `shipped` has the certificate of each commit of the branch that was shipped.
    """
    said = trailers_of(certificate).items()
    found = [
        f"its {name} is {release.trailers.get(name) or 'missing'}, and {value} in its certificate"
        for name, value in said
        if release.trailers.get(name, "") != value
    ]
    found += not_done(release, certificate)
    if len(release.parents) != 1:
        return found
    base = release.parents[0]
    try:
        terms = await agentfile_at(repository, base)
    except UserError as error:
        return [*found, f"what it may change cannot be told: {error}"]
    if terms.agent != certificate.agent:
        found.append(f"its certificate is of the agent {certificate.agent}, and its base of {terms.agent}")
    if certificate.kind == "rollback":
        found += [
            said async for said in _wrong_with_rollback(repository, release, certificate, terms, shipped)
        ]
    else:
        if (shown := certificate.reproduced) and not await _is_in(repository, shown.commit, base):
            found.append(f"what it mends was reproduced at {shown.commit}, which it is not built on")
        changes = await repository.changed(base, release.tree)
        paths = [entry.path for entry in await repository.files(release.tree)]
        found += violations(changes, terms, paths)[:_SAID]
    return found


def trailers_of(certificate: Certificate) -> dict[str, str]:
    """What a commit must say of its certificate, besides its hash."""
    said = {"Mode": certificate.mode_id, "Eval": certificate.eval_id, "Decision": certificate.decision_id}
    return {name: " ".join(value.split()) for name, value in said.items()}


def is_of(release: Release, certificate: Certificate) -> bool:
    """Whether a commit does what is certified; one that does not, and says so, may well quote another."""
    done = (release.parents[:1], release.tree)
    return done == ((certificate.base_commit,), certificate.candidate_tree)


def not_done(release: Release, certificate: Certificate) -> Iterator[str]:
    """What a commit does other than is certified."""
    if release.tree != certificate.candidate_tree:
        yield f"its tree is {release.tree}, and {certificate.candidate_tree} was proven"
    if release.parents != (certificate.base_commit,):
        yield f"it is built on {' and '.join(release.parents) or 'nothing'}, not on {certificate.base_commit}"


async def _is_in(repository: Repository, commit: str, base: str) -> bool:
    try:
        return commit == base or await repository.is_ancestor(commit, base)
    except UserError:  # no commit's id at all
        return False


async def _wrong_with_rollback(
    repository: Repository,
    release: Release,
    certificate: Certificate,
    terms: AgentFile,
    shipped: Mapping[str, Certificate],
) -> AsyncIterator[str]:
    base, undone = release.parents[0], certificate.reverts
    if undone not in shipped or shipped[undone].kind != "change":
        yield f"it undoes {undone or 'nothing'}, which was not shipped"
        return
    if not await repository.is_ancestor(undone, base):
        yield f"it undoes {undone}, which was not there"
    for change in await repository.changed(base, release.tree):
        if is_protected(change.path) or not matches(change.path, terms.mutable):
            yield f"{change.path!r} is not in `mutable` ({', '.join(terms.mutable)})"
    try:
        expected = await inverse(repository, undone, base)
    except PatchConflictError as error:
        yield f"{undone} cannot be taken out of its base: {error}"
    else:
        if expected != release.tree:
            yield f"it is not its base without what {undone} had changed"
