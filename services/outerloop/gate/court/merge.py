"""Merge: how a change reaches a branch by pull requests only (`release.mode: pull_request`).

The gate proposes what it has proven, and a person merges it, or does not. Until then the change has no
verdict and is looked at from time to time. What became of it is told by git and the forge alone: no trial is
run again, and a gate that restarts goes on. Once the branch has exactly what was proven, the suite grows.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.evals.suite import Entry
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.court import says
from outerloop.gate.court.says import Judged
from outerloop.gate.forge import (
    Fate,
    Followed,
    Forge,
    Proposal,
    State,
    follow,
    forge_of,
    propose_merge,
    pull_request_text,
    recall,
    tell,
    withdraw,
)
from outerloop.gate.release.ship import GATE, certify, freeing, release_commit, whole_suite
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.waiting import WaitError
from outerloop.runtime.git import RefMovedError, RefUpdate, Repository

# Between two looks at what waits for a person; a look takes one to three calls of the forge's API.
LOOK = timedelta(seconds=60)


class Merge:
    """The pull request of one change.

    Args:
        settings: the gate's.
        repository: the agent's.
        branch: the release branch.
        change: what is to be merged.
        new: the eval that it closes.
    """

    def __init__(
        self,
        settings: GateSettings,
        repository: Repository,
        branch: str,
        change: ChangeProposed,
        new: Entry,
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._branch = branch
        self._change = change
        self._new = new
        self._when = change.proposed_at.ToDatetime(UTC)
        self._key = settings.signing_key()

    @cached_property
    def forge(self) -> Forge:
        """Where pull requests are.

        Raises:
            UserError: if that cannot be told, or no token is set.
        """
        url, _ = self._settings.repositories()[self._change.agent]
        return forge_of(self._settings, url)

    def check(self) -> None:
        """Return if there is a forge: it is missed before trials are paid for. Raises as `forge`."""
        _ = self.forge

    async def settled(self) -> Judged | None:
        """The verdict that people came to, as last fetched (fetch first); None: the change is to be judged.

        Raises:
            WaitError: if they have not come to one.
            RefMovedError: if the suite moves at this moment.
            OutageError: if the remote or the forge is away.
            UserError: if one of them refuses.
        """
        proposal = await recall(self._repository, self._change.change_id)
        return await self._followed(proposal) if proposal else None

    async def propose(self, certificate: Certificate) -> Judged:
        """Open the pull request for what is proven, or bring it up to date; the verdict if people have one.

        In the push that makes the proof public the error that was reserved for it is released: of all that is
        certified, no more than δ is wrong, whether it is merged or not.

        Raises:
            WaitError: if a person may merge it now.
            RefMovedError: if the branch or the suite has moved: it is to be judged again.
            OutageError, UserError: as `settled`.
        """
        repository, when, key = self._repository, self._when, self._key
        release = await release_commit(repository, certificate, self._change.diagnosis, when=when, key=key)
        proposal = Proposal(release=release, certificate=certificate)
        await self._open(proposal, await freeing(repository, certificate, when=when, key=key))
        if (judged := await self._followed(proposal)) is None:
            raise RefMovedError(f"{self._branch} or the suite moved before {proposal.head} was proposed")
        return judged

    async def withdraw(self, why: str) -> None:
        """Close the pull request, if there is an open one, because of `why`.

        Raises:
            OutageError, UserError: as `settled`.
        """
        proposal = await recall(self._repository, self._change.change_id)
        pull = await self.forge.find(proposal.head, self._branch) if proposal else None
        if pull is not None and pull.state is State.OPEN:
            await withdraw(self.forge, pull.number, why)

    async def _followed(self, proposal: Proposal) -> Judged | None:
        followed = await follow(self._repository, self.forge, proposal, branch=self._branch)
        match followed.fate:
            case Fate.PROVEN:
                return await self._certified(proposal, followed.commit)
            case Fate.CLOSED:
                return says.declined(self._change, proposal.certificate, followed.reason)
            case Fate.UNPROVEN:
                await self._tell(followed, "unproven", f"This is not certified: {followed.reason}.")
                return says.declined(self._change, proposal.certificate, followed.reason)
            case Fate.MOVED:
                await self._tell(followed, "moved to", f"{followed.reason}: the gate decides again.")
                return None
            case Fate.WITHDRAWN:
                return None
            case Fate.EDITED:
                await self._tell(followed, "edited on", f"The gate waits: {followed.reason}.")
            case Fate.MISSING:
                await self._open(proposal, ())
        where = f" ({followed.pull_request.url})" if followed.pull_request else ""
        raise WaitError(f"{followed.reason}{where}", datetime.now(UTC) + LOOK)

    async def _open(self, proposal: Proposal, also: Sequence[RefUpdate]) -> None:
        suite = await whole_suite(self._repository)
        titles = {entry.eval.id: entry.eval.title for entry in (*suite.entries, self._new)}
        await propose_merge(
            self._repository,
            self.forge,
            proposal,
            branch=self._branch,
            text=pull_request_text(
                proposal.certificate, diagnosis=self._change.diagnosis, titles=titles, branch=self._branch
            ),
            when=self._when,
            author=GATE,
            key=self._key,
            also=also,
        )

    async def _certified(self, proposal: Proposal, merged: str) -> Judged:
        shipped = await certify(
            self._repository,
            release=proposal.release,
            merged=merged,
            certificate=proposal.certificate,
            entry=self._new,
            when=self._when,
            key=self._key,
        )
        return says.recovered(self._change, shipped)

    async def _tell(self, followed: Followed, about: str, text: str) -> None:
        if followed.pull_request is not None:
            await tell(self.forge, followed.pull_request.number, f"{about} {followed.commit}", text)
