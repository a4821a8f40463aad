"""The suite: all accepted evals of one agent, on the orphan branch `outerloop/suite` of its repository.

    evals/EVAL_ID/eval.yaml, cassette.jsonl          one eval
    heldout/EVAL_ID/N/variant.yaml, cassette.jsonl   its held-out variants, N from 1
    certificates/DECISION_ID.json                    what shipped with which proof; each names the one before
    retired/EVAL_ID.json                             that a person has retired an eval, and why: its tombstone

Only adding is possible here: there is no function that changes or removes a file of the suite.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from outerloop.evals import tombstone
from outerloop.evals.chain import Proof, last_of, proof_of, proofs_of
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette, Eval, content_sha256
from outerloop.evals.tombstone import Tombstone
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import EXECUTABLE, PLAIN, TreeEntry
from outerloop.runtime.git.objects import Objects

BRANCH = "outerloop/suite"
REF = f"refs/heads/{BRANCH}"

RECORD = (
    "an eval without recorded tool calls has an empty one; `outerloop evals record` writes one from a trace"
)
_RESTORE = f"restore the branch {BRANCH} from its history"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_EVAL = re.compile(r"evals/([^/]+)/(eval\.yaml|cassette\.jsonl)")
_HELD_OUT = re.compile(r"heldout/([^/]+)/([1-9]\d{0,3})/(variant\.yaml|cassette\.jsonl)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One eval of the suite with its recorded world, and its held-out variants."""

    eval: Eval
    cassette: Cassette
    held_out: tuple[HeldOut, ...] = ()

    @property
    def content_sha256(self) -> str:
        """What a review and a verdict are bound to: see `model.content_sha256`."""
        return content_sha256(self.eval, self.cassette, (each.content for each in self.held_out))

    def variant(self, number: int) -> "Entry":
        """The eval as it is tried on its `number`-th held-out variant; 0: the eval itself.

        Raises:
            LookupError: if it has none of this number.
        """
        if number == 0:
            return self
        if not 0 < number <= len(self.held_out):
            raise LookupError(f"eval {self.eval.id} has no held-out variant {number}")
        drawn = self.held_out[number - 1]
        return Entry(drawn.of(self.eval), drawn.cassette)


@dataclass(frozen=True)
class Suite:
    """The suite at `commit` ("" when there is none yet), evals in the order of their ids.

    `last` is the newest certificate, None before the first. `retired` are evals that bind no longer.
    """

    commit: str = ""
    entries: tuple[Entry, ...] = ()
    last: bytes | None = None
    retired: tuple[Entry, ...] = ()

    @cached_property
    def last_certificate(self) -> str:
        """The SHA-256 of the newest certificate, "" before the first."""
        return hashlib.sha256(self.last).hexdigest() if self.last is not None else ""

    @cached_property
    def sha256(self) -> str:
        """A hash over the content of all evals: equal suites ask for the same."""
        return sha256_of({entry.eval.id: entry.content_sha256 for entry in self.entries})

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
    texts = await _texts(repository, files)
    ids = sorted({match[1] for path in texts if (match := _EVAL.fullmatch(path))})
    _check_held_out(texts, ids)
    proofs = [proof async for proof in proofs_of(repository, files)]
    last = last_of(proofs)
    newest = (await repository.blobs([last.blob]))[last.blob] if last else None
    every = [entry_of(texts, eval_id) for eval_id in ids]
    buried = _buried(texts, every)
    suite = Suite(
        commit or "",
        tuple(entry for entry in every if entry.eval.id not in buried),
        newest,
        tuple(entry for entry in every if entry.eval.id in buried),
    )
    _check_whole(suite, proofs, shipped)
    return suite


async def read_entry(repository: Objects, commit: str, eval_id: str) -> Entry | None:
    """One eval of the suite at `commit`, whose proofs are not looked at; None if it has no such eval.

    Raises:
        UserError: if a file does not say what it must.
    """
    files = await _files(repository, commit, f"evals/{eval_id}", f"heldout/{eval_id}")
    return entry_of(await _texts(repository, files), eval_id) if files else None


async def _files(repository: Objects, commit: str, *folders: str) -> list[TreeEntry]:
    found = await repository.files(commit, *folders)
    return [entry for entry in found if entry.mode in {PLAIN, EXECUTABLE}]


async def _texts(repository: Objects, files: Sequence[TreeEntry]) -> dict[str, bytes]:
    """The files of evals, of their variants and tombstones, by path."""
    kinds = (_EVAL, _HELD_OUT, tombstone.PATH)
    ours = [file for file in files if any(kind.fullmatch(file.path) for kind in kinds)]
    contents = await repository.blobs([file.sha for file in ours])
    return {file.path: contents[file.sha] for file in ours}


def _check_held_out(texts: Mapping[str, bytes], ids: Collection[str]) -> None:
    owners = {match[1] for path in texts if (match := _HELD_OUT.fullmatch(path))}
    if lost := sorted(owners - set(ids)):
        raise UserError(f"the suite has held-out variants of an eval that it has not: {lost[0]}; {_RESTORE}")


def _buried(texts: Mapping[str, bytes], entries: Sequence[Entry]) -> set[str]:
    """The ids of evals that have a tombstone."""
    held = {entry.eval.id: entry.content_sha256 for entry in entries}
    stones = [Tombstone.from_json(texts[path], path) for path in texts if tombstone.PATH.fullmatch(path)]
    for stone in stones:
        if held.get(stone.eval_id) != stone.content_sha256:
            raise UserError(f"{stone.path} is of no eval that the suite holds as it is; {_RESTORE}")
    return {stone.eval_id for stone in stones}


def entry_of(texts: Mapping[str, bytes], eval_id: str) -> Entry:
    """The entry that these files hold, by path; those of other evals may be among them.

    Raises:
        UserError: if a file is missing, or does not say what it must.
    """
    folder = f"evals/{eval_id}"
    eval_ = Eval.from_yaml(_text(texts, folder, "eval.yaml"), f"{folder}/eval.yaml")
    if eval_.id != eval_id:
        raise UserError(f"{folder}/eval.yaml: its id is {eval_.id!r}, not the name of its directory")
    held = (_HELD_OUT.fullmatch(path) for path in texts)
    numbers = sorted({int(match[2]) for match in held if match and match[1] == eval_id})
    if numbers != list(range(1, len(numbers) + 1)):
        raise UserError(f"heldout/{eval_id} must hold variants 1 to {len(numbers)}, and holds {numbers}")
    return Entry(eval_, _cassette(texts, folder), tuple(_held_out(texts, eval_id, n) for n in numbers))


def _held_out(texts: Mapping[str, bytes], eval_id: str, number: int) -> HeldOut:
    folder = f"heldout/{eval_id}/{number}"
    variant = Variant.from_yaml(_text(texts, folder, "variant.yaml"), f"{folder}/variant.yaml")
    return HeldOut(variant, _cassette(texts, folder))


def _cassette(texts: Mapping[str, bytes], folder: str) -> Cassette:
    return Cassette.from_jsonl(_text(texts, folder, "cassette.jsonl"), f"{folder}/cassette.jsonl")


def _text(texts: Mapping[str, bytes], folder: str, name: str) -> str:
    where = f"{folder}/{name}"
    if where not in texts:
        with_ = "variant.yaml" if folder.startswith("heldout/") else "eval.yaml"
        more = f": {RECORD}" if name == "cassette.jsonl" else ""
        raise UserError(f"the suite's {folder} must hold both {with_} and cassette.jsonl{more}")
    try:
        return texts[where].decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8") from error


def _check_whole(suite: Suite, proofs: Sequence[Proof], shipped: Mapping[str, str]) -> None:
    held = {entry.eval.id: entry.content_sha256 for entry in (*suite.entries, *suite.retired)}
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
    eval_id, content = entry.eval.id, entry.content_sha256
    if proof.claimed.get(eval_id) != content:
        raise UserError(f"certificate {proof.path} is not of eval {eval_id} as it is")
    if eval_id in {retired.eval.id for retired in suite.retired}:
        raise UserError(f"eval {eval_id} was retired, and what is retired does not come back under its id")
    known = suite.get(eval_id)
    if known is not None and known.content_sha256 != content:
        raise UserError(f"the suite holds eval {eval_id} with other content, and an eval is never changed")
    return {} if known is not None else files_of(entry)


def burial(suite: Suite, eval_id: str, *, by: str, reason: str, when: datetime) -> dict[str, bytes]:
    """The file that retires an eval of the suite.

    Raises:
        UserError: if the suite has no such eval, or nobody or no reason is named.
    """
    entry = suite.get(eval_id)
    if entry is None:
        raise UserError(f"the suite has no eval {eval_id} that could be retired")
    if not by.strip() or not reason.strip():
        raise UserError(f"who retires eval {eval_id}, and why, must be said")
    stone = Tombstone(
        eval_id=eval_id,
        content_sha256=entry.content_sha256,
        retired_by=by,
        reason=reason,
        retired_at=when,
    )
    return {stone.path: stone.to_json()}


def files_of(entry: Entry) -> dict[str, bytes]:
    """The files of one eval and of its held-out variants, by path."""
    folder, held_out = f"evals/{entry.eval.id}", f"heldout/{entry.eval.id}"
    files = {
        f"{folder}/eval.yaml": entry.eval.to_yaml(),
        f"{folder}/cassette.jsonl": entry.cassette.to_jsonl(),
    }
    for number, held in enumerate(entry.held_out, start=1):
        files[f"{held_out}/{number}/variant.yaml"] = held.variant.to_yaml()
        files[f"{held_out}/{number}/cassette.jsonl"] = held.cassette.to_jsonl()
    return {path: text.encode() for path, text in files.items()}
