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

from pydantic import BaseModel, ValidationError

from outerloop.evals.model import Cassette, Eval, content_sha256
from outerloop.runtime.documents import first_problem
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import EXECUTABLE, PLAIN, Repository

BRANCH = "outerloop/suite"
REF = f"refs/heads/{BRANCH}"

_RESTORE = f"restore the branch {BRANCH} from its history"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_EVAL = re.compile(r"evals/([^/]+)/(eval\.yaml|cassette\.jsonl)")
_CERTIFICATE = re.compile(r"certificates/([^/]+)\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """One eval of the suite with its recorded world."""

    eval: Eval
    cassette: Cassette


@dataclass(frozen=True)
class Suite:
    """The suite at `commit` ("" when there is none yet), evals in the order of their ids.

    `last_certificate` is the SHA-256 of the newest certificate, "" before the first.
    """

    commit: str = ""
    entries: tuple[Entry, ...] = ()
    last_certificate: str = ""

    @cached_property
    def sha256(self) -> str:
        """A hash over the content of all evals: equal suites ask for the same."""
        lines = (f"{entry.eval.id} {content_sha256(entry.eval, entry.cassette)}\n" for entry in self.entries)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def priors(self, eval_id: str) -> tuple[Entry, ...]:
        """All entries but the one of `eval_id`: what a change for that eval must not break."""
        return tuple(entry for entry in self.entries if entry.eval.id != eval_id)

    def get(self, eval_id: str) -> Entry | None:
        """The entry of this eval, if the suite has it."""
        return next((entry for entry in self.entries if entry.eval.id == eval_id), None)


async def read_suite(repository: Repository, commit: str | None, shipped: Mapping[str, str]) -> Suite:
    """The suite at `commit` (None: there is none yet), whole: nothing that was ever proven is missing.

    `shipped` has the SHA-256 of the certificate of every change that shipped, by change id.

    Raises:
        UserError: if a file does not say what it must, or the chain of certificates is broken, or an eval or
            a certificate is missing, edited, or there without proof: somebody has changed the branch.
    """
    texts = await _texts(repository, commit) if commit else {}
    ids = sorted({match[1] for path in texts if (match := _EVAL.fullmatch(path))})
    proofs = [_proof(text, path) for path, text in texts.items() if _CERTIFICATE.fullmatch(path)]
    suite = Suite(commit or "", tuple(_entry(texts, eval_id) for eval_id in ids), _last(proofs))
    _check_whole(suite, proofs, shipped)
    return suite


async def _texts(repository: Repository, commit: str) -> dict[str, bytes]:
    files = [entry for entry in await repository.files(commit) if entry.mode in {PLAIN, EXECUTABLE}]
    ours = {
        file.path: file.sha
        for file in files
        if _EVAL.fullmatch(file.path) or _CERTIFICATE.fullmatch(file.path)
    }
    contents = await repository.blobs(ours.values())
    return {path: contents[sha] for path, sha in ours.items()}


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


class _Proven(BaseModel):
    eval_id: str
    content_sha256: str


class _Said(BaseModel):
    previous: str
    evidence: tuple[_Proven, ...]


@dataclass(frozen=True, slots=True)
class _Proof:
    """What the suite reads of a certificate; `proven` is the SHA-256 of each eval's content, by eval id."""

    path: str
    sha256: str
    previous: str
    proven: Mapping[str, str]


def _proof(content: bytes, where: str) -> _Proof:
    try:
        said = _Said.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{where}: {first_problem(error)}") from error
    proven = {each.eval_id: each.content_sha256 for each in said.evidence}
    return _Proof(where, hashlib.sha256(content).hexdigest(), said.previous, proven)


def _last(proofs: Sequence[_Proof]) -> str:
    """The hash of the certificate that no other follows, if they are one unbroken chain."""
    follows: dict[str, str] = {}
    for proof in proofs:
        if proof.previous in follows:
            raise UserError(f"{proof.path}: another certificate follows the same one; the chain is broken")
        follows[proof.previous] = proof.sha256
    last, length = "", 0
    while last in follows:
        last, length = follows[last], length + 1
    if length != len(proofs):
        raise UserError("the suite's certificates are no chain: one was changed or removed")
    return last


def _check_whole(suite: Suite, proofs: Sequence[_Proof], shipped: Mapping[str, str]) -> None:
    held = {entry.eval.id: content_sha256(entry.eval, entry.cassette) for entry in suite.entries}
    for proof in proofs:
        for eval_id, content in proof.proven.items():
            if eval_id not in held:
                raise UserError(f"the suite has lost eval {eval_id}, which {proof.path} names; {_RESTORE}")
            if held[eval_id] != content:
                raise UserError(f"evals/{eval_id} is not what {proof.path} certifies; {_RESTORE}")
    if unproven := sorted(held.keys() - {eval_id for proof in proofs for eval_id in proof.proven}):
        raise UserError(f"no certificate names evals/{unproven[0]}: take it out of {BRANCH} again")
    certificates = {proof.sha256 for proof in proofs}
    if lost := [change for change, certificate in shipped.items() if certificate not in certificates]:
        raise UserError(f"the suite has lost the certificate that change {lost[0]} shipped with; {_RESTORE}")


def additions(suite: Suite, entry: Entry, decision_id: str, certificate: bytes) -> dict[str, bytes]:
    """The files that bring `entry` and its certificate into `suite`.

    Adding an eval that the suite holds already, with the same content, adds the certificate alone.

    Raises:
        UserError: if a name cannot be a directory's, or the suite has that id with other content, or the
            certificate does not follow the suite's last one, or does not name this eval with this content.
    """
    eval_id = entry.eval.id
    if bad := [name for name in (eval_id, decision_id) if not _NAME.fullmatch(name)]:
        raise UserError(f"{bad[0]!r} cannot name a file of the suite")
    proof, content = _proof(certificate, decision_id), content_sha256(entry.eval, entry.cassette)
    if proof.previous != suite.last_certificate:
        raise UserError(f"certificate {decision_id} does not follow the last one of the suite")
    if proof.proven.get(eval_id) != content:
        raise UserError(f"certificate {decision_id} is not of eval {eval_id} as it is")
    files = {f"certificates/{decision_id}.json": certificate}
    known = suite.get(eval_id)
    if known is None:
        files[f"evals/{eval_id}/eval.yaml"] = entry.eval.to_yaml().encode()
        files[f"evals/{eval_id}/cassette.jsonl"] = entry.cassette.to_jsonl().encode()
    elif content_sha256(known.eval, known.cassette) != content:
        raise UserError(f"the suite holds eval {eval_id} with other content, and an eval is never changed")
    return files
