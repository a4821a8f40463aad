"""From a proposed change to what is judged: its patch on the head of the release branch."""

import hashlib
import uuid
from dataclasses import dataclass

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_CONFLICT,
    OBSTACLE_INVARIANT,
    Obstacle,
)
from outerloop.gate.court.undone import rollback_of
from outerloop.gate.trials.agent import terms_at
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import NotAPatchError, PatchConflictError, Repository
from outerloop.runtime.invariants import violations

_DECISIONS = uuid.uuid5(uuid.NAMESPACE_URL, "outerloop:decision")
_SAID = 5  # violations named in the reason


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is judged: `tree`, which is the patch on `head`, under the terms of `head`'s own `agentfile`."""

    decision_id: str
    head: str
    tree: str
    patch_sha256: str
    agentfile: AgentFile


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a change is rejected before anything of it runs."""

    decision_id: str
    head: str
    obstacle: Obstacle
    reason: str


def decision_id(head: str, content: str, suite_commit: str, court: str) -> str:
    """The id of the verdict on exactly this content, judged by this `court`, whoever proposed it.

    `content` is the candidate's tree, or a hash of the patch where it makes none; `suite_commit` is "" while
    there is no suite. `court` is a hash over what else a verdict depends on: the new eval, the rule and the
    settings that trials run under. The same content that comes back finds its trials, and so its verdict.
    """
    bound = (head, content, suite_commit, court)
    return str(uuid.uuid5(_DECISIONS, "\n".join(bound)))


def patch_sha256(patch: str) -> str:
    """The hash that binds a verdict to the text of a patch."""
    return hashlib.sha256(patch.encode(errors="surrogateescape")).hexdigest()


async def prepare(
    repository: Repository, change: ChangeProposed, *, branch: str, suite_commit: str, court: str
) -> Candidate | Refused:
    """Put the change on the head of `branch` as last fetched (fetch first) and check the invariants.

    The base that the change names is what its author saw, no more: the patch is applied to the head, three
    ways where that has moved on, and `outerloop.yaml` is the head's. Deterministic for the same repository.

    Raises:
        UserError: if the branch, or a usable `outerloop.yaml` of this agent and branch on it, is not there.
    """
    head = await repository.resolve(branch)
    if head is None:
        raise UserError(f"the repository of {change.agent} has no branch {branch}: push the agent to it")
    terms = await terms_at(repository, head, change.agent, branch)
    decision = decision_id(head, patch_sha256(change.patch), suite_commit, court)
    if undone_by := await rollback_of(repository, suite_commit, patch_sha256(change.patch)):
        said = (
            f"this very patch has shipped before, and production took it back with {undone_by}: find another"
        )
        return Refused(decision, head, OBSTACLE_INVARIANT, said)
    try:
        tree = await repository.apply(head, change.patch)
    except NotAPatchError as error:
        return Refused(decision, head, OBSTACLE_INVARIANT, str(error))
    except PatchConflictError as error:
        moved = f"; the branch has moved on since {change.base_commit}" if change.base_commit != head else ""
        return Refused(decision, head, OBSTACLE_CONFLICT, f"{error}{moved}")
    changes = await repository.changed(head, tree)
    paths = [entry.path for entry in await repository.files(tree)]
    if found := violations(changes, terms, paths):
        more = f"; and {len(found) - _SAID} more" if len(found) > _SAID else ""
        return Refused(
            decision, head, OBSTACLE_INVARIANT, "the change is refused: " + "; ".join(found[:_SAID]) + more
        )
    decision = decision_id(head, tree, suite_commit, court)
    return Candidate(decision, head, tree, patch_sha256(change.patch), terms)
