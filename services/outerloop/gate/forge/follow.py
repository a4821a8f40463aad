"""What became of a pull request: git tells what was merged, the forge tells what people did."""

from dataclasses import dataclass
from enum import StrEnum

from outerloop.evals import suite as suites
from outerloop.gate.forge.flow import Proposal, parents_of, was_withdrawn
from outerloop.gate.forge.inert import named
from outerloop.gate.forge.model import Forge, PullRequest, State
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import run, succeed

_PATHS, _LETTERS = 5, 80


class Fate(StrEnum):
    """Of a proposed change.

    open         a person may merge it
    missing      there is no pull request (yet, or not to this branch any more): propose it again
    moved        the release branch or the suite moved on before it was merged: judge it again
    edited       a person has pushed onto its branch, so that what may be merged is not what was proven
    merging      it is about to be merged, or git does not show the merge yet: look again later
    proven       merged, and the release branch got exactly the proven tree on exactly the judged head
    unproven     merged, and it did not
    closed       a person closed it
    withdrawn    the gate closed it
    """

    OPEN = "open"
    MISSING = "missing"
    MOVED = "moved"
    EDITED = "edited"
    MERGING = "merging"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A proposal's fate, and in a sentence (Markdown, safe to say on the forge) why.

    `commit` is what the release branch got if it was merged, the branch's head otherwise.
    """

    fate: Fate
    reason: str
    commit: str
    pull_request: PullRequest | None


async def follow(repository: Repository, forge: Forge, proposal: Proposal, *, branch: str) -> Followed:
    """What became of `proposal`, which is to be merged into `branch`. Fetches; changes nothing.

    Raises:
        OutageError: if the remote or the forge is away.
        UserError: if the forge refuses, or the branch is gone.
    """
    pull = await forge.find(proposal.head, branch)
    # In this order: what is merged by the forge's word is in what is fetched after it.
    await repository.fetch()
    head = await repository.resolve(branch)
    if head is None:
        raise UserError(f"the branch {branch} is gone: push it again")
    fate, reason, commit = await _fate(repository, forge, proposal, branch=branch, head=head, pull=pull)
    return Followed(fate=fate, reason=reason, commit=commit, pull_request=pull)


async def _fate(
    repository: Repository,
    forge: Forge,
    proposal: Proposal,
    *,
    branch: str,
    head: str,
    pull: PullRequest | None,
) -> tuple[Fate, str, str]:
    if pull is None:
        return Fate.MISSING, f"no pull request from `{proposal.head}` to `{branch}`", head
    if pull.state is State.MERGED:
        return await _merged(repository, proposal, pull, branch=branch, head=head)
    if pull.state is State.CLOSED:
        if await was_withdrawn(forge, pull.number):
            return Fate.WITHDRAWN, "the gate closed the pull request", head
        return Fate.CLOSED, f"a person closed the pull request {pull.url}", head
    if pull.state is State.MERGING:
        return Fate.MERGING, "the forge is merging it", head
    return await _waiting(repository, forge, proposal, branch=branch, head=head)


async def _waiting(
    repository: Repository, forge: Forge, proposal: Proposal, *, branch: str, head: str
) -> tuple[Fate, str, str]:
    base = proposal.certificate.base_commit
    tip = await repository.resolve(proposal.head)
    moved = f"`{branch}` moved from `{base[:12]}` to `{head[:12]}`" if head != base else ""
    if suite := await _suite_moved(repository, proposal):
        moved = " and ".join(filter(None, (moved, suite)))
    if moved:
        again = await forge.find(proposal.head, branch)
        pushed = tip == proposal.release and await repository.is_ancestor(proposal.release, head)
        if again is None or again.state is not State.OPEN or pushed:
            return Fate.MERGING, "it was merged just now", head
        return Fate.MOVED, f"{moved} before this was merged", head
    if tip != proposal.release:
        return (
            Fate.EDITED,
            f"somebody has pushed onto `{proposal.head}`: its tree is not what was proven",
            head,
        )
    return Fate.OPEN, "a person may merge it", head


async def _merged(
    repository: Repository, proposal: Proposal, pull: PullRequest, *, branch: str, head: str
) -> tuple[Fate, str, str]:
    base = proposal.certificate.base_commit
    landed = await _landed(repository, proposal, pull, head)
    if landed is None:
        if not await _is_here(repository, pull.merged_as):
            return Fate.MERGING, f"git does not show `{pull.merged_as[:12]}` yet", head
        gone = f"merged as `{pull.merged_as[:12]}`, which `{branch}` does not hold (any more)"
        return Fate.UNPROVEN, gone, pull.merged_as
    onto = (await parents_of(repository, landed))[:1]
    if onto != [base]:
        came = f"others came in between: merged onto `{''.join(onto)[:12]}`, and proven on `{base[:12]}`"
        return Fate.UNPROVEN, came, landed
    if await repository.tree_of(landed) != proposal.certificate.candidate_tree:
        return Fate.UNPROVEN, await _differs(repository, proposal, landed), landed
    if suite := await _suite_moved(repository, proposal):
        return Fate.UNPROVEN, f"{suite} before this was merged: it is proven by an older suite", landed
    return Fate.PROVEN, f"merged as `{landed[:12]}`, which is exactly what was proven", landed


async def _landed(repository: Repository, proposal: Proposal, pull: PullRequest, head: str) -> str | None:
    """The commit on the first-parent line of the release branch that brought the change; None: not there."""
    out = await succeed(
        repository.directory,
        "rev-list",
        "--reverse",
        "--first-parent",
        f"{proposal.certificate.base_commit}..{head}",
    )
    line = out.decode().split()
    if pull.merged_as in line:
        return pull.merged_as
    # Pushed by hand, a forge notices the merge, and has its own idea of which commit it was.
    brought = [
        commit for commit in line[:1] if proposal.release in {commit, *await parents_of(repository, commit)}
    ]
    return brought[0] if brought else None


async def _is_here(repository: Repository, commit: str) -> bool:
    return (await run(repository.directory, "cat-file", "-e", f"{commit}^{{commit}}")).status == 0


async def _differs(repository: Repository, proposal: Proposal, landed: str) -> str:
    changes = await repository.changed(proposal.certificate.candidate_tree, landed)
    paths = ", ".join(named(change.path, _LETTERS) for change in changes[:_PATHS])
    more = f" and {len(changes) - _PATHS} more" if len(changes) > _PATHS else ""
    return f"a person changed it before it was merged: {paths}{more} is not as it was proven"


async def _suite_moved(repository: Repository, proposal: Proposal) -> str:
    """How the suite differs from what the change was judged by; "" if it does not."""
    certificate = proposal.certificate
    tip = await repository.resolve(suites.BRANCH) or ""
    if tip == certificate.suite_commit:
        return ""
    held = await repository.show(tip, f"certificates/{certificate.decision_id}.json") if tip else None
    if held == certificate.to_json():
        return ""  # it is that very certificate that came in
    return f"the suite moved from `{certificate.suite_commit[:12] or 'nothing'}` to `{tip[:12] or 'nothing'}`"
