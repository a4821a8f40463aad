"""From a proven change to its pull request, so that each step may be repeated after a crash.

    refs/heads/outerloop/change/CHANGE       the release commit, on the head that was judged; people merge it
    refs/outerloop/proposals/CHANGE          a commit on top of it that holds certificate.json; its second
                                             parent is what was proposed for the change before, if any

Both by the change and not by the decision: when the release branch moves, the change is judged again, and the
same pull request goes on with another release commit under another decision. They move in one push, so the
second tells what is proposed, and whether a person has pushed onto the first. It keeps what was proposed
before, because the error that was reserved for that has been released.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from outerloop.gate.core.certificate import Certificate
from outerloop.gate.forge.inert import quoted
from outerloop.gate.forge.model import AlreadyOpenError, Forge, PullRequest, State, Text
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git import Author, RefUpdate, Repository
from outerloop.runtime.git.process import succeed
from outerloop.runtime.git.signing import SigningKey

_CERTIFICATE = "certificate.json"
_WITHDRAWN = "withdrawn"
_REASON = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is to be merged: the commit `release` on the certificate's base, and the proof of its tree."""

    release: str
    certificate: Certificate

    @property
    def head(self) -> str:
        """The branch that people merge."""
        return f"outerloop/change/{self.certificate.change_id}"


def proposal_ref(change_id: str) -> str:
    """The ref that keeps what is proposed for a change."""
    return f"refs/outerloop/proposals/{change_id}"


async def recall(repository: Repository, change_id: str) -> Proposal | None:
    """What is proposed for a change, as last fetched (fetch first); None if nothing was.

    Raises:
        UserError: if somebody edited it.
    """
    ref = proposal_ref(change_id)
    commit = await repository.resolve(ref)
    if commit is None:
        return None
    content = await repository.show(commit, _CERTIFICATE)
    parents = await parents_of(repository, commit)
    if content is None or not parents:
        raise UserError(f"{ref} does not hold a certificate on top of a release commit: delete it")
    return Proposal(release=parents[0], certificate=Certificate.from_json(content, ref))


async def propose_merge(
    repository: Repository,
    forge: Forge,
    proposal: Proposal,
    *,
    branch: str,
    text: Text,
    when: datetime,
    author: Author,
    key: SigningKey | None = None,
    also: Sequence[RefUpdate] = (),
) -> PullRequest:
    """Push the release commit to the change's branch and open the pull request, or bring both up to date.

    What is done already is left as it is: look at the state of what comes back. One that was merged, or that
    a person closed, is not touched, and nothing is pushed.

    Args:
        repository: the agent's, which has the release commit already.
        forge: where the pull requests are.
        proposal: what is to be merged.
        branch: the release branch.
        text: see `pull_request_text`.
        when: the date of the commit that keeps the proposal.
        author: whose commit that is.
        key: what signs it.
        also: what is pushed with it, if it is pushed.

    Raises:
        RefMovedError: if somebody moved one of these refs at this moment: try again.
        OutageError: if the remote or the forge is away.
        UserError: if one of them refuses, or a person has pushed onto the branch.
    """
    found = await forge.find(proposal.head, branch)
    if found is not None and found.state is State.CLOSED and await was_withdrawn(forge, found.number):
        found = None  # it is proven after all
    if found is not None and found.state is not State.OPEN:
        return found
    await repository.fetch()
    record = await _recorded(repository, proposal)
    if not record:
        before = await repository.resolve(proposal_ref(proposal.certificate.change_id))
        record = await repository.commit(
            await repository.tree_with(None, {_CERTIFICATE: proposal.certificate.to_json()}),
            [proposal.release, *([before] if before else [])],
            f"Propose {proposal.certificate.change_id}\n",
            when=when,
            author=author,
            key=key,
        )
    await _push(repository, proposal, record, also)
    if found is None:
        found = await _opened(forge, proposal.head, branch, text)
    if found.state is State.OPEN and found.text != text:
        await forge.rewrite(found.number, text)
    return found


async def proposed(repository: Repository) -> list[Certificate]:
    """All certificates that were ever proposed, as last fetched.

    Raises:
        UserError: if somebody edited one.
    """
    listed = await succeed(repository.directory, "for-each-ref", "--format=%(refname)", proposal_ref(""))
    found: list[Certificate] = []
    for ref in listed.decode().split():
        at: str | None = await repository.resolve(ref)
        while at is not None:
            content = await repository.show(at, _CERTIFICATE)
            if content is None:
                raise UserError(f"{ref} at {at} holds no certificate")
            found.append(Certificate.from_json(content, f"{ref} at {at}"))
            at = next(iter((await parents_of(repository, at))[1:]), None)
    return found


async def _recorded(repository: Repository, proposal: Proposal) -> str:
    """The commit that keeps exactly this proposal; "" if it is not the last one of its change."""
    commit = await repository.resolve(proposal_ref(proposal.certificate.change_id))
    if commit is None or (await parents_of(repository, commit))[:1] != [proposal.release]:
        return ""
    content = await repository.show(commit, _CERTIFICATE)
    return commit if content == proposal.certificate.to_json() else ""


async def _push(repository: Repository, proposal: Proposal, record: str, also: Sequence[RefUpdate]) -> None:
    change_id = proposal.certificate.change_id
    tip = await repository.resolve(proposal.head)
    earlier = await recall(repository, change_id)
    if tip not in {None, proposal.release, earlier.release if earlier else None}:
        raise UserError(
            f"somebody has pushed onto {proposal.head}, and the gate does not overwrite a person's work: "
            f"close the pull request, or set the branch back to {earlier.release if earlier else 'nothing'}"
        )
    kept = await repository.resolve(proposal_ref(change_id))
    if (tip, kept) != (proposal.release, record):
        await repository.push_atomic(
            [
                RefUpdate(f"refs/heads/{proposal.head}", proposal.release, tip or ""),
                RefUpdate(proposal_ref(change_id), record, kept or ""),
                *also,
            ]
        )


async def _opened(forge: Forge, head: str, branch: str, text: Text) -> PullRequest:
    try:
        return await forge.create(head, branch, text)
    except AlreadyOpenError as error:
        found = await forge.find(head, branch)
        if found is None:  # its list lags behind
            raise OutageError(f"{error}, and yet it cannot be found") from error
        return found


async def tell(forge: Forge, number: int, about: str, text: str) -> None:
    """Say `text` under a pull request, once for each `about`: words of our own, never hostile ones."""
    mark = _mark(about)
    if not any(mark in said for said in await forge.comments(number)):
        await forge.comment(number, f"{text}\n\n{mark}\n")


async def withdraw(forge: Forge, number: int, why: str) -> None:
    """Close a pull request because of what the gate found out (any words), and leave a mark that it did."""
    await tell(forge, number, _WITHDRAWN, f"The gate takes this back:\n\n{quoted(why, _REASON)}")
    await forge.close(number)


async def was_withdrawn(forge: Forge, number: int) -> bool:
    """Whether the gate closed it, and not a person."""
    return any(_mark(_WITHDRAWN) in said for said in await forge.comments(number))


def _mark(about: str) -> str:
    return f"<!-- outerloop: {about} -->"


async def parents_of(repository: Repository, commit: str) -> list[str]:
    """The parents of a commit, the first one first."""
    out = await succeed(repository.directory, "rev-list", "--parents", "--max-count=1", commit)
    return out.decode().split()[1:]
