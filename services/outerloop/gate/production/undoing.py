"""What follows once a release is proven to have made something worse: it is undone, or a person is asked."""

from outerloop.contracts.v1.release_pb2 import (
    FINDING_ROLLBACK_ASKED,
    FINDING_ROLLED_BACK,
    FINDING_WORSE,
    Finding,
)
from outerloop.gate.core.watch import Counts
from outerloop.gate.court.undone import rollback_ref
from outerloop.gate.forge.flow import parents_of
from outerloop.gate.production.finding import Found, Teller
from outerloop.gate.production.rollback import Stands, Undone, is_undone, roll_back
from outerloop.gate.trials.agent import terms_at
from outerloop.runtime.git import Repository, SigningKey
from outerloop.store.releases import Shipped


async def undo(
    teller: Teller,
    repository: Repository,
    branch: str,
    release: Shipped,
    found: Found,
    *,
    ask: str,
    closed: bool = False,
    key: SigningKey | None = None,
) -> None:
    """Take back a release that has a FINDING_WORSE, or ask a person to: for the reason `ask`, or its own.

    What the person has taken back is told like our own rollback. `closed`: a later release closes its eval,
    which is not work again then. `found` is added to.
    """
    worse = found[FINDING_WORSE]
    if FINDING_ROLLBACK_ASKED in found:
        if not await is_undone(repository, branch, release.commit):
            return
        done: Undone | Stands = Undone("")
    elif pushed := await repository.resolve(rollback_ref(release.decision_id)):
        done = Undone(pushed)  # by one who was killed before it was told
    elif asks := ask or await _must_ask(repository, branch, release):
        done = Stands(asks)
    else:
        done = await roll_back(repository, branch, release, worse.reason, when=worse.found_at, key=key)
    if isinstance(done, Stands):
        merged = len(await parents_of(repository, release.commit)) > 1
        command = f"git revert {'-m 1 ' if merged else ''}{release.commit}"
        said = f"{worse.reason}; {done.reason}: `{command}` undoes it, and its eval stays"
        finding: Finding = FINDING_ROLLBACK_ASKED
    else:
        said = worse.reason if done.commit else f"{worse.reason}; somebody has taken it out of the branch"
        finding = FINDING_ROLLED_BACK
    found[finding] = await teller.tell(
        release,
        finding,
        subject=worse.subject,
        reason=said,
        counts=Counts(worse.traces, worse.failures),
        commit="" if isinstance(done, Stands) else done.commit,
        closed=closed,
    )


async def _must_ask(repository: Repository, branch: str, release: Shipped) -> str:
    """Why a person has to do it; "" if nobody has to."""
    head = await repository.resolve(branch)
    terms = await terms_at(repository, head, release.agent, branch) if head else None
    through_requests = terms is not None and terms.release.mode == "pull_request"
    return "only pull requests reach this branch" if through_requests else ""
