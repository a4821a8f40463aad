"""The suite: all accepted evals of one agent, on the orphan branch `outerloop/suite` of its repository.

    evals/EVAL_ID/eval.yaml, cassette.jsonl     one eval
    certificates/DECISION_ID.json               what shipped with which proof; each names the one before it

Only adding is possible here: there is no function that changes or removes a file of the suite.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from outerloop.evals.chain import Proof, last_of, proof_of, proofs_of
from outerloop.evals.model import Cassette, Eval, content_sha256
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import EXECUTABLE, PLAIN, TreeEntry
from outerloop.runtime.git.objects import Objects

BRANCH = "outerloop/suite"
REF = f"refs/heads/{BRANCH}"

_RESTORE = f"restore the branch {BRANCH} from its history"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_EVAL = re.compile(r"evals/([^/]+)/(eval\.yaml|cassette\.jsonl)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One eval of the suite with its recorded world."""

    eval: Eval
    cassette: Cassette


@dataclass(frozen=True)
class Suite:
    """The suite at `commit` ("" when there is none yet), evals in the order of their ids.

    `last` is the newest certificate, None before the first.
    """

    commit: str = ""
    entries: tuple[Entry, ...] = ()
    last: bytes | None = None

    @cached_property
    def last_certificate(self) -> str:
        """The SHA-256 of the newest certificate, "" before the first."""
        return hashlib.sha256(self.last).hexdigest() if self.last is not None else ""

    @cached_property
    def sha256(self) -> str:
        """A hash over the content of all evals: equal suites ask for the same."""
        return sha256_of({e.eval.id: content_sha256(e.eval, e.cassette) for e in self.entries})

    def priors(self, eval_id: str) -> tuple[Entry, ...]:
        """All entries but the one of `eval_id`: what a change for that eval must not break."""
        return tuple(entry for entry in self.entries if entry.eval.id != eval_id)

    def get(self, eval_id: str) -> Entry | None:
        """The entry of this eval, if the suite has it."""
        return next((entry for entry in self.entries if entry.eval.id == eval_id), None)


def sha256_of(contents: Mapping[str, str]) -> str:
    """The hash of a suite that holds evals of this content: SHA-256 by eval id."""
    lines = (f"{eval_id} {content}\n" for eval_id, content in sorted(contents.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


async def read_suite(repository: Objects, commit: str | None, shipped: Mapping[str, str]) -> Suite:
    """The suite at `commit` (None: there is none yet), whole: nothing that was ever proven is missing.

    `shipped` has the SHA-256 of the certificate of every change that shipped, by change id.

    Raises:
        UserError: if a file does not say what it must, or the chain of certificates is broken, or an eval or
            a certificate is missing, edited, or there without proof: somebody has changed the branch.
    """
    files = await _files(repository, commit) if commit else []
    evals = [file for file in files if _EVAL.fullmatch(file.path)]
    contents = await repository.blobs([file.sha for file in evals])
    texts = {file.path: contents[file.sha] for file in evals}
    ids = sorted({match[1] for path in texts if (match := _EVAL.fullmatch(path))})
    proofs = [proof async for proof in proofs_of(repository, files)]
    last = last_of(proofs)
    newest = (await repository.blobs([last.blob]))[last.blob] if last else None
    suite = Suite(commit or "", tuple(_entry(texts, eval_id) for eval_id in ids), newest)
    _check_whole(suite, proofs, shipped)
    return suite


async def _files(repository: Objects, commit: str) -> list[TreeEntry]:
    return [entry for entry in await repository.files(commit) if entry.mode in {PLAIN, EXECUTABLE}]


def _entry(texts: Mapping[str, bytes], eval_id: str) -> Entry:
    where, tape = f"evals/{eval_id}/eval.yaml", f"evals/{eval_id}/cassette.jsonl"
    if where not in texts or tape not in texts:
        raise UserError(f"the suite's evals/{eval_id} must hold both eval.yaml and cassette.jsonl")
    eval_ = Eval.from_yaml(_text(texts[where], where), where)
    if eval_.id != eval_id:
        raise UserError(f"{where}: its id is {eval_.id!r}, not the name of its directory")
    return Entry(eval_, Cassette.from_jsonl(_text(texts[tape], tape), tape))


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8") from error


def _check_whole(suite: Suite, proofs: Sequence[Proof], shipped: Mapping[str, str]) -> None:
    held = {entry.eval.id: content_sha256(entry.eval, entry.cassette) for entry in suite.entries}
    for proof in proofs:
        for eval_id, content in (*proof.claimed.items(), *proof.named.items()):
            if eval_id not in held:
                raise UserError(f"the suite has lost eval {eval_id}, which {proof.path} names; {_RESTORE}")
            if held[eval_id] != content:
                raise UserError(f"evals/{eval_id} is not what {proof.path} certifies; {_RESTORE}")
    if unproven := sorted(held.keys() - {eval_id for proof in proofs for eval_id in proof.claimed}):
        raise UserError(f"no certificate names evals/{unproven[0]}: take it out of {BRANCH} again")
    certificates = {proof.sha256 for proof in proofs}
    if lost := [change for change, certificate in shipped.items() if certificate not in certificates]:
        raise UserError(f"the suite has lost the certificate that change {lost[0]} shipped with; {_RESTORE}")


def additions(suite: Suite, entry: Entry | None, decision_id: str, certificate: bytes) -> dict[str, bytes]:
    """The files that bring `entry` (None: none, a rollback) and its certificate into `suite`.

    Adding an eval that the suite holds already, with the same content, adds the certificate alone.

    Raises:
        UserError: if a name cannot be a directory's, or the suite has that id with other content, or the
            certificate does not follow the suite's last one, or does not prove this eval with this content.
    """
    _check_names(decision_id, *([entry.eval.id] if entry else []))
    proof = proof_of(certificate, decision_id)
    if proof.previous != suite.last_certificate:
        raise UserError(f"certificate {decision_id} does not follow the last one of the suite")
    files = {f"certificates/{decision_id}.json": certificate}
    return files | _eval_files(suite, entry, proof) if entry else files


def _check_names(*names: str) -> None:
    if bad := [name for name in names if not _NAME.fullmatch(name)]:
        raise UserError(f"{bad[0]!r} cannot name a file of the suite")


def _eval_files(suite: Suite, entry: Entry, proof: Proof) -> dict[str, bytes]:
    eval_id, content = entry.eval.id, content_sha256(entry.eval, entry.cassette)
    if proof.claimed.get(eval_id) != content:
        raise UserError(f"certificate {proof.path} is not of eval {eval_id} as it is")
    known = suite.get(eval_id)
    if known is not None and content_sha256(known.eval, known.cassette) != content:
        raise UserError(f"the suite holds eval {eval_id} with other content, and an eval is never changed")
    return {} if known is not None else files_of(entry)


def files_of(entry: Entry) -> dict[str, bytes]:
    """The files of one eval, by path."""
    folder = f"evals/{entry.eval.id}"
    return {
        f"{folder}/eval.yaml": entry.eval.to_yaml().encode(),
        f"{folder}/cassette.jsonl": entry.cassette.to_jsonl().encode(),
    }
