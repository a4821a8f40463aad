"""Freed: error is given back for what was proven, and for nothing else, or every failure were free."""

from collections.abc import Iterable, Iterator

from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.forge.flow import proposed
from outerloop.gate.verify import dues
from outerloop.gate.verify.before import claims_of
from outerloop.gate.verify.branches import Finding, Spent
from outerloop.gate.verify.claims import unproven
from outerloop.runtime.git import Repository


async def wrongly_freed(
    repository: Repository, spent: Spent, certified: Iterable[Certificate]
) -> list[Finding]:
    """The ledger's releases of what is neither `certified` nor proven by a pull request.

    A pull request's error is released when it is opened: it is proven then, whether people merge it or not.
    What it says of other evals than its own cannot be held against a suite that never had it.

    Raises:
        UserError: if somebody edited what was proposed.
    """
    changes = [each for each in certified if each.kind == "change"]
    shipped = {each.spending.content for each in changes if each.spending}
    freed = [each for each in spent.freed if each[1] not in shipped]
    proposals = await proposed(repository) if freed else []
    found: list[Finding] = []
    for commit, content in freed:
        # Several, where the branch moved by what no eval depends on: each is proven by the same trials.
        wrong = [
            list(_wrong_with(p, spent)) for p in proposals if p.spending and p.spending.content == content
        ]
        if not wrong:
            found.append(Finding(commit, f"the ledger releases {content}, which nothing proves"))
        elif all(wrong):
            said = "; ".join(wrong[0])
            found.append(Finding(commit, f"the ledger releases {content}, and in what was proposed {said}"))
    return found


def _wrong_with(certificate: Certificate, spent: Spent) -> Iterator[str]:
    spending = certificate.spending
    held = spent.reservation(spending.ledger_commit, spending.content) if spending else None
    yield from dues.wrong_spending(certificate, held)
    yield from unproven(certificate)
    if not claims_of(certificate, Kind.NEW):
        yield "nothing is claimed of its eval"
