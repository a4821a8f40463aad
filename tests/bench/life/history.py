"""History: what a life has left in git, and whether it is as it must be."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.life.founding import FOUNDING
from bench.life.oracle import Oracle
from bench.life.proposer import Proposer, verdict
from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.evals import suite as suites
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.release import ledger
from outerloop.gate.release.ship import whole_suite
from outerloop.gate.verify.clone import open_clone
from outerloop.gate.verify.report import verify
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import succeed


@dataclass(frozen=True, slots=True)
class Release:
    """One commit of the release branch, its tree, and what it was proven by."""

    commit: str
    tree: str
    certificate: Certificate


async def releases(repository: Repository) -> list[Release]:
    """All that the gate has shipped, the oldest first."""
    await repository.fetch()
    said = "--format=%H %T %(trailers:key=Outerloop-Decision,valueonly,separator=)"
    out = await succeed(repository.directory, "log", "--reverse", "--first-parent", said, "main")
    suite = await repository.resolve(suites.BRANCH) or ""
    found: list[Release] = []
    for line in out.decode().splitlines():
        commit, tree, *decision = line.split()
        if decision:
            path = f"certificates/{decision[0]}.json"
            content = await repository.show(suite, path) or b""
            found.append(Release(commit, tree, Certificate.from_json(content, path)))
    return found


async def verified(remote: Path) -> dict[str, Any]:
    """What `outerloop verify` says of the whole branch: how many commits it looked at, and what is wrong."""
    said = await verify(await open_clone(remote, ""), "")
    wrong = [f"{finding.commit[:12]} {finding.what}" for finding in said.findings]
    return {"commits": len(said.verified), "findings": wrong}


async def evals_tree(repository: Repository) -> str:
    """The id of the suite's folder of evals: equal for equal evals."""
    out = await succeed(repository.directory, "rev-parse", f"{suites.BRANCH}:evals")
    return out.decode().strip()


async def regressions(shipped: Sequence[Release], oracle: Oracle) -> list[str]:
    """Releases whose true rate on some eval of the suite is below the bar that it must keep, as sentences."""
    suite = await whole_suite(oracle.repository)
    found: list[str] = []
    for release in shipped:
        for eval_id, standing in release.certificate.standings.items():
            entry = suite.get(eval_id)
            rate = await oracle.rate(release.tree, entry.eval) if entry else 0.0
            if rate < standing.bar:
                found.append(f"{release.commit[:12]} {eval_id}: {rate:.3f} < {standing.bar:.3f}")
    return found


async def troubles(repository: Repository, proposer: Proposer, held_before: int) -> list[str]:
    """What is not as it must be: ships against verdicts, refs, and the ledger of error.

    A change that is in flight at the end may have shipped without its verdict, and may hold an index.
    """
    shipped = [r for r in await releases(repository) if not r.certificate.change_id.startswith(FOUNDING)]
    times = Counter(release.certificate.change_id for release in shipped)
    said = {p.change.change_id: p.decision for p in proposer.made if verdict(p.decision) == "ship"}
    silent = times.keys() - said.keys() - {proposer.in_flight}
    found = [f"{change} shipped {count} times" for change, count in times.items() if count > 1]
    found += [f"{change} shipped without a verdict that says so" for change in silent]
    found += [f"{change} did not ship, and its verdict says so" for change in said.keys() - times.keys()]
    found += [each for release in shipped for each in _wrong(release, said)]
    out = await succeed(repository.directory, "for-each-ref", "--format=%(refname)", "refs/outerloop/changes")
    refs = set(re.findall(r"refs/outerloop/changes/(\S+)", out.decode()))
    found += [f"{change} has shipped, and no ref says so" for change in times.keys() - refs]
    failed = sum(1 for p in proposer.made if p.decision.ledger_index and verdict(p.decision) != "ship")
    held = (await ledger.read(repository))[0].open_or_failed - held_before
    if not failed <= held <= failed + bool(proposer.in_flight):
        found.append(f"the ledger holds {held} indices for {failed} confirmations that failed")
    return found


def _wrong(release: Release, said: Mapping[str, DecisionReached]) -> Iterator[str]:
    certificate = release.certificate
    decision = said.get(certificate.change_id)
    if decision is not None and decision.shipped_commit != release.commit:
        yield f"{certificate.change_id}: its verdict names another commit"
    if certificate.sandbox != "bubblewrap":
        yield f"{certificate.change_id} was tried in the sandbox {certificate.sandbox!r}"
