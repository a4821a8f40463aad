"""Rollback: a shipped change is undone by a commit on the release branch; its eval and all others stay.

    refs/heads/BRANCH                  the inverse of the change's own patch, on the head as it is
    refs/heads/outerloop/suite         a certificate of kind "rollback"; no eval comes or goes
    refs/outerloop/rollbacks/ID        the commit, by the decision that had shipped: it is undone at most once

One atomic push with leases, as for shipping. After a crash between the push and the event, the ref tells.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from outerloop.evals import suite as suites
from outerloop.evals.suite import Suite
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.court.candidate import patch_sha256
from outerloop.gate.court.undone import rollback_ref
from outerloop.gate.release import ledger
from outerloop.gate.release.ship import GATE, release_message, whole_suite
from outerloop.gate.trials.agent import terms_at
from outerloop.runtime.agentfile import AgentFile, is_protected
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git import (
    PatchConflictError,
    PushRefusedError,
    RefMovedError,
    RefUpdate,
    Repository,
    SigningKey,
)
from outerloop.runtime.git.process import succeed
from outerloop.runtime.globs import matches
from outerloop.store.releases import Shipped

log = logging.getLogger(__name__)

MOVES = 10
_FLAGS = ("-r", "-p", "--no-renames", "--full-index", "--binary", "--no-ext-diff", "--no-textconv")


@dataclass(frozen=True, slots=True)
class Undone:
    """The change is out of the branch by this commit; "": somebody else's."""

    commit: str


@dataclass(frozen=True, slots=True)
class Stands:
    """The change is still there, and why a person has to take it out."""

    reason: str


async def roll_back(
    repository: Repository,
    branch: str,
    release: Shipped,
    reason: str,
    *,
    when: datetime,
    key: SigningKey | None = None,
) -> Undone | Stands:
    """Undo `release` on the head of `branch`, for `reason`, with commits of the date `when`.

    Raises:
        OutageError: if the remote is away; it may have taken the push, and the next call finds out.
        UserError: if the branch or the suite is not as it must be.
    """
    for _ in range(MOVES):
        await repository.fetch()
        if commit := await repository.resolve(rollback_ref(release.decision_id)):
            return Undone(commit)
        head = await repository.resolve(branch)
        if head is None:
            raise UserError(f"the repository of {release.agent} has no branch {branch}")
        try:
            tree = await inverse(repository, release.commit, head)
        except PatchConflictError as error:
            return Stands(f"the branch has moved on, and its patch cannot be taken out by itself: {error}")
        if tree == await repository.tree_of(head):
            return Undone("")
        if closed := await _closed(
            repository, head, tree, await terms_at(repository, head, release.agent, branch)
        ):
            return Stands(f"{closed!r} is not in `mutable` any more")
        try:
            return Undone(
                await _push(repository, branch, release, reason, onto=(head, tree), when=when, key=key)
            )
        except RefMovedError:
            continue
        except PushRefusedError as error:
            return Stands(str(error))
    raise OutageError(f"{branch} of {release.agent} moved {MOVES} times while a release was rolled back")


async def is_undone(repository: Repository, branch: str, commit: str) -> bool:
    """Whether nothing of the shipped `commit` is left at the head of `branch` as last fetched."""
    head = await repository.resolve(branch)
    if head is None or not await repository.is_ancestor(commit, head):
        return True
    try:
        return await inverse(repository, commit, head) == await repository.tree_of(head)
    except PatchConflictError:
        return False


async def inverse(repository: Repository, commit: str, onto: str) -> str:
    """The tree of `onto` without what `commit` changed in its first parent, merged three ways.

    Raises:
        PatchConflictError: if later commits changed the same lines.
    """
    return await repository.apply(onto, await _inverse_patch(repository, commit))


async def _closed(repository: Repository, head: str, tree: str, terms: AgentFile) -> str:
    """A path that may not be changed at `head`, and is in `tree`; "" if there is none."""
    paths = (change.path for change in await repository.changed(head, tree))
    return next((path for path in paths if is_protected(path) or not matches(path, terms.mutable)), "")


async def _inverse_patch(repository: Repository, commit: str) -> str:
    parent = await succeed(repository.directory, "rev-parse", "--verify", "--quiet", f"{commit}^1")
    patch = await succeed(repository.directory, "diff-tree", *_FLAGS, commit, parent.decode().strip())
    return patch.decode(errors="surrogateescape")


async def _push(
    repository: Repository,
    branch: str,
    release: Shipped,
    reason: str,
    *,
    onto: tuple[str, str],
    when: datetime,
    key: SigningKey | None,
) -> str:
    head, tree = onto
    suite = await whole_suite(repository)
    patch = await _inverse_patch(repository, release.commit)
    certificate = await _certificate(repository, release, reason, suite, head=head, tree=tree, patch=patch)
    subject = (await repository.message(release.commit)).partition("\n")[0]
    said = f'Revert "{subject}"\n\n{reason}\n\nThis reverts commit {release.commit}.'
    commit = await repository.commit(
        tree, [head], release_message(certificate, said), when=when, author=GATE, key=key
    )
    added = suites.additions(suite, None, certificate.decision_id, certificate.to_json())
    grown = await repository.commit(
        await repository.tree_with(suite.commit, added),
        [suite.commit],
        release_message(certificate, f"Record the rollback of {release.commit}"),
        when=when,
        author=GATE,
        key=key,
    )
    await repository.push_atomic(
        [
            RefUpdate(f"refs/heads/{branch}", commit, head),
            RefUpdate(suites.REF, grown, suite.commit),
            RefUpdate(rollback_ref(release.decision_id), commit, ""),
        ]
    )
    return commit


async def _certificate(
    repository: Repository,
    release: Shipped,
    reason: str,
    suite: Suite,
    *,
    head: str,
    tree: str,
    patch: str,
) -> Certificate:
    if suite.last is None:
        raise UserError(f"the suite of {release.agent} has no certificate of {release.commit}, which shipped")
    last = Certificate.from_json(suite.last, "the suite's last certificate")
    return Certificate(
        kind="rollback",
        decision_id=stable_id("rollback", release.decision_id),
        agent=release.agent,
        mode_id=release.mode_id,
        eval_id=release.eval_id,
        change_id=release.change_id,
        base_commit=head,
        patch_sha256=patch_sha256(patch),
        candidate_tree=tree,
        suite_commit=suite.commit,
        suite_sha256=suite.sha256,
        spending=None,
        screen=(0, 0),
        claims=(),
        inherited=(),
        broken=(),
        reproduced=None,
        reverts=release.commit,
        reason=reason,
        standings=last.standings,
        sandbox="",
        models=(),
        proposed_by="",
        input_tokens=0,
        output_tokens=0,
        seconds=0.0,
        gate_version=f"outerloop {version('outerloop')}",
        previous=suite.last_certificate,
        ledger_commit=await _ledger(repository, last.ledger_known),
    )


async def _ledger(repository: Repository, known: str) -> str:
    """What the error ledger has come to. One that is not whole holds up what is shipped, not a rollback."""
    try:
        return (await ledger.read(repository, known=known))[1]
    except UserError as error:
        log.warning("the rollback names an older ledger: %s", error)
        return known
