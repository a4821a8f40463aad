"""Shipping: change, new eval and certificate in one atomic, compare-and-swap push.

    refs/heads/BRANCH                  the release commit, on the head that was judged
    refs/heads/outerloop/suite         the eval and the certificate, on the suite that was judged
    refs/outerloop/decisions/ID        the release commit of this decision
    refs/outerloop/changes/ID          the same, by change: it ships at most once, on whatever head
    refs/outerloop/ledger              the entry that gives the reserved error back

Those of decision and change must not exist before. After a crash between the push and the event, the ref of
the change tells that it has shipped: the head has moved by then, so its decision could not be computed again.

Where a person merges (`certify`), the branch has it already, perhaps as another commit than the gate's own:
the decision's ref is at what the branch got, and the change's at the gate's own, which names the certificate.
"""

import re
import textwrap
from dataclasses import dataclass
from datetime import datetime

from outerloop.evals import suite as suites
from outerloop.evals.suite import Entry, Suite, read_suite
from outerloop.gate.core.certificate import Certificate, sha256
from outerloop.gate.forge.inert import inert
from outerloop.gate.release import ledger
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Author, RefMovedError, RefUpdate, Repository, SigningKey
from outerloop.runtime.git.process import succeed

GATE = Author("outerloop gate", "gate@outerloop.invalid")
_SUBJECT = 72
_BODY = 8000


@dataclass(frozen=True, slots=True)
class Shipped:
    """What is on the release branch, and its proof."""

    commit: str
    certificate: Certificate
    certificate_sha256: str


def decision_ref(decision_id: str) -> str:
    """The ref that a shipped decision leaves."""
    return f"refs/outerloop/decisions/{decision_id}"


def change_ref(change_id: str) -> str:
    """The ref that a shipped change leaves."""
    return f"refs/outerloop/changes/{change_id}"


async def whole_suite(repository: Repository) -> Suite:
    """The suite as last fetched (fetch first), with nothing missing that any shipped change was proven by.

    Raises:
        UserError: as `read_suite`, and when the suite branch was moved back, or away.
    """
    return await read_suite(
        repository, await repository.resolve(suites.BRANCH), await _certificates(repository)
    )


async def _certificates(repository: Repository) -> dict[str, str]:
    """The SHA-256 of the certificate of every change that shipped ("": its commit names none)."""
    shown = "--format=%(refname)%00%(contents)%00"
    out = await succeed(repository.directory, "for-each-ref", shown, change_ref(""))
    words = out.decode(errors="replace").split("\0")[:-1]
    named = zip(words[::2], (_trailer("Certificate", message) for message in words[1::2]), strict=True)
    return {ref.strip().removeprefix(change_ref("")): certificate for ref, certificate in named}


async def already_shipped(repository: Repository, change_id: str) -> Shipped | None:
    """What this change shipped as, by the repository as last fetched (fetch first); None if it has not.

    Raises:
        UserError: if the suite does not hold the certificate that the commit names.
    """
    commit = await repository.resolve(change_ref(change_id))
    if commit is None:
        return None
    named = _trailer("Decision", await repository.message(commit))
    suite = await repository.resolve(suites.BRANCH)
    path = f"certificates/{named}.json" if named else ""
    content = await repository.show(suite, path) if suite and path else None
    if content is None:
        raise UserError(f"the suite has no certificate for {commit}, which shipped change {change_id}")
    merged = await repository.resolve(decision_ref(named))
    return Shipped(merged or commit, Certificate.from_json(content, path), sha256(content))


async def ship(
    repository: Repository,
    *,
    branch: str,
    certificate: Certificate,
    suite: Suite,
    entry: Entry,
    diagnosis: str,
    when: datetime,
    key: SigningKey | None = None,
) -> Shipped:
    """Push what `certificate` certifies. The same arguments make the same commits.

    With it the error that was reserved for the change is released, in the same push.

    Args:
        repository: the agent's.
        branch: the release branch, which must still be at the certificate's base.
        certificate: the proof; must follow the last one of `suite`.
        suite: what the earlier evals were read from; must still be the head of the suite branch.
        entry: the eval that the change closes, as it was accepted.
        diagnosis: the proposer's words; data, so nothing in them is taken for a trailer, or acts on a forge.
        when: the date of all commits.
        key: what signs them.

    Raises:
        RefMovedError: if the branch or the suite has moved, or the change has shipped: nothing was pushed.
        OutageError: if the remote cannot be reached; it may have taken the push (see `already_shipped`).
        UserError: if the eval or the certificate cannot be added to this suite, or the remote refuses.
    """
    release = await release_commit(repository, certificate, diagnosis, when=when, key=key)
    grown = await _grown(repository, certificate, suite, entry, when=when, key=key)
    updates = [
        RefUpdate(f"refs/heads/{branch}", release, certificate.base_commit),
        grown,
        *_refs(certificate, release, release),
    ]
    if certificate.spending is not None:
        updates.append(await ledger.releasing(repository, certificate.spending.content, when=when, key=key))
    await repository.push_atomic(updates)
    return Shipped(release, certificate, sha256(certificate.to_json()))


async def certify(
    repository: Repository,
    *,
    release: str,
    merged: str,
    certificate: Certificate,
    entry: Entry,
    when: datetime,
    key: SigningKey | None = None,
) -> Shipped:
    """Push the proof of what a person has merged: `release`, which the release branch got as `merged`.

    Raises:
        RefMovedError: if the suite has moved, or the change has shipped: nothing was pushed.
        OutageError: if the remote cannot be reached; it may have taken the push (see `already_shipped`).
        UserError: if the eval or the certificate cannot be added to this suite, or the remote refuses.
    """
    suite = await whole_suite(repository)
    if suite.commit != certificate.suite_commit:
        raise RefMovedError(f"{suites.REF} is not at {certificate.suite_commit or 'nothing'} any more")
    grown = await _grown(repository, certificate, suite, entry, when=when, key=key)
    freed = await freeing(repository, certificate, when=when, key=key)
    await repository.push_atomic([grown, *_refs(certificate, release, merged), *freed])
    return Shipped(merged, certificate, sha256(certificate.to_json()))


async def release_commit(
    repository: Repository,
    certificate: Certificate,
    diagnosis: str,
    *,
    when: datetime,
    key: SigningKey | None,
) -> str:
    """The commit that releases what is certified, on no branch yet."""
    message = release_message(certificate, diagnosis)
    parents = [certificate.base_commit]
    return await repository.commit(
        certificate.candidate_tree, parents, message, when=when, author=GATE, key=key
    )


async def freeing(
    repository: Repository, certificate: Certificate, *, when: datetime, key: SigningKey | None
) -> list[RefUpdate]:
    """What releases the error that was reserved for a certificate; nothing if that is done."""
    spending = certificate.spending
    if spending is None or not (await ledger.read(repository))[0].holds(spending.content):
        return []
    return [await ledger.releasing(repository, spending.content, when=when, key=key)]


async def _grown(
    repository: Repository,
    certificate: Certificate,
    suite: Suite,
    entry: Entry,
    *,
    when: datetime,
    key: SigningKey | None,
) -> RefUpdate:
    added = suites.additions(suite, entry, certificate.decision_id, certificate.to_json())
    commit = await repository.commit(
        await repository.tree_with(suite.commit or None, added),
        [suite.commit] if suite.commit else [],
        f"Add eval {certificate.eval_id}\n\n{_trailers(certificate)}",
        when=when,
        author=GATE,
        key=key,
    )
    return RefUpdate(suites.REF, commit, suite.commit)


def _refs(certificate: Certificate, release: str, merged: str) -> list[RefUpdate]:
    return [
        RefUpdate(decision_ref(certificate.decision_id), merged, ""),
        RefUpdate(change_ref(certificate.change_id), release, ""),
    ]


def release_message(certificate: Certificate, diagnosis: str) -> str:
    """The release commit's message: the diagnosis as subject and body, then the trailers.

    Forges read messages: on the default branch "fixes #1" would close an issue, and "@name" tell somebody.
    """
    text = inert(diagnosis[:_BODY]).strip()
    # Quoted: what looks like a trailer of ours in here is none.
    text = re.sub(r"^(?=[ \t]*outerloop-)", "> ", text, flags=re.MULTILINE | re.IGNORECASE)
    first, _, rest = text.partition("\n")
    subject = textwrap.shorten(first, _SUBJECT, placeholder=" …") or f"Close {certificate.mode_id}"
    body = rest if subject == first else text
    return "\n\n".join(part for part in (subject, body.strip(), _trailers(certificate)) if part)


def _trailer(name: str, message: str) -> str:
    """The last trailer of ours with this name, "" if there is none."""
    found: list[str] = re.findall(rf"^Outerloop-{name}: (\S+)$", message, re.MULTILINE)
    return found[-1] if found else ""


def _trailers(certificate: Certificate) -> str:
    named = {
        "Mode": certificate.mode_id,
        "Eval": certificate.eval_id,
        "Decision": certificate.decision_id,
        "Certificate": sha256(certificate.to_json()),
    }
    return "".join(f"Outerloop-{name}: {' '.join(value.split())}\n" for name, value in named.items())
