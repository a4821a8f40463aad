"""Shipping: change, new eval and certificate in one atomic, compare-and-swap push.

    refs/heads/BRANCH                  the release commit, on the head that was judged
    refs/heads/outerloop/suite         the eval and the certificate, on the suite that was judged
    refs/outerloop/decisions/ID        the release commit of this decision
    refs/outerloop/changes/ID          the same, by change: it ships at most once, on whatever head

The last two must not exist before. After a crash between the push and the event, the ref of the change tells
that it has shipped: the head has moved by then, so its decision could not be computed again.
"""

import re
import textwrap
from dataclasses import dataclass
from datetime import datetime

from outerloop.evals import suite as suites
from outerloop.evals.suite import Entry, Suite, read_suite
from outerloop.gate.core.certificate import Certificate, sha256
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Author, RefUpdate, Repository
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
    return Shipped(commit, Certificate.from_json(content, path), sha256(content))


async def ship(
    repository: Repository,
    *,
    branch: str,
    certificate: Certificate,
    suite: Suite,
    entry: Entry,
    diagnosis: str,
    when: datetime,
) -> Shipped:
    """Push what `certificate` certifies. The same arguments make the same commits.

    Args:
        repository: the agent's.
        branch: the release branch, which must still be at the certificate's base.
        certificate: the proof; must follow the last one of `suite`.
        suite: what the earlier evals were read from; must still be the head of the suite branch.
        entry: the eval that the change closes, as it was accepted.
        diagnosis: the proposer's words; data, so nothing in them is taken for a trailer.
        when: the date of both commits.

    Raises:
        RefMovedError: if the branch or the suite has moved, or the change has shipped: nothing was pushed.
        OutageError: if the remote cannot be reached; it may have taken the push (see `already_shipped`).
        UserError: if the eval or the certificate cannot be added to this suite, or the remote refuses.
    """
    content = certificate.to_json()
    added = suites.additions(suite, entry, certificate.decision_id, content)
    release = await repository.commit(
        certificate.candidate_tree,
        [certificate.base_commit],
        release_message(certificate, diagnosis),
        when=when,
        author=GATE,
    )
    grown = await repository.commit(
        await repository.tree_with(suite.commit or None, added),
        [suite.commit] if suite.commit else [],
        f"Add eval {certificate.eval_id}\n\n{_trailers(certificate)}",
        when=when,
        author=GATE,
    )
    await repository.push_atomic(
        [
            RefUpdate(f"refs/heads/{branch}", release, certificate.base_commit),
            RefUpdate(suites.REF, grown, suite.commit),
            RefUpdate(decision_ref(certificate.decision_id), release, ""),
            RefUpdate(change_ref(certificate.change_id), release, ""),
        ]
    )
    return Shipped(release, certificate, sha256(content))


def release_message(certificate: Certificate, diagnosis: str) -> str:
    """The release commit's message: the diagnosis as subject and body, then the trailers."""
    text = "".join(letter for letter in diagnosis if letter == "\n" or letter.isprintable()).strip()[:_BODY]
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
