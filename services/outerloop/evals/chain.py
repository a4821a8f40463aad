"""Chain: the certificates of the suite branch as the suite reads them: which follows which, and proves what.

The rest of a certificate is the gate's.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from pydantic import BaseModel, ValidationError

from outerloop.runtime.documents import first_problem
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import TreeEntry
from outerloop.runtime.git.objects import Objects

CERTIFICATE = re.compile(r"certificates/([^/]+)\.json")
_OF_EVALS = {"new", "held_out", "prior"}  # kinds of claim; that on drift is of a stratum
_BATCH = 64 * 1024 * 1024  # bytes of certificates that are read together


class _Claimed(BaseModel):
    kind: str
    name: str
    content_sha256: str


class _Named(BaseModel):
    eval_id: str
    content_sha256: str


class _Said(BaseModel):
    previous: str
    claims: tuple[_Claimed, ...]
    inherited: tuple[_Named, ...]
    broken: tuple[_Named, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What the suite reads of a certificate, the `blob`.

    `claimed` and `named` are the SHA-256 of each eval's content, by eval id: of those that it proves by
    trials of the change, and of the others it answers for.
    """

    path: str
    blob: str
    sha256: str
    previous: str
    claimed: Mapping[str, str]
    named: Mapping[str, str]


def proof_of(content: bytes, where: str, blob: str = "") -> Proof:
    """What a certificate proves.

    Raises:
        UserError: naming `where` and the field that is wrong.
    """
    try:
        said = _Said.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{where}: {first_problem(error)}") from error
    claimed = {each.name: each.content_sha256 for each in said.claims if each.kind in _OF_EVALS}
    named = {each.eval_id: each.content_sha256 for each in (*said.inherited, *said.broken)}
    return Proof(where, blob, hashlib.sha256(content).hexdigest(), said.previous, claimed, named)


def last_of(proofs: Sequence[Proof]) -> Proof | None:
    """The certificate that no other follows; None of none.

    Raises:
        UserError: if they are not one unbroken chain.
    """
    follows: dict[str, Proof] = {}
    for proof in proofs:
        if proof.previous in follows:
            raise UserError(f"{proof.path}: another certificate follows the same one; the chain is broken")
        follows[proof.previous] = proof
    last, length = None, 0
    while following := follows.get(last.sha256 if last else ""):
        last, length = following, length + 1
    if length != len(proofs):
        raise UserError("the suite's certificates are no chain: one was changed or removed")
    return last


async def proofs_of(repository: Objects, files: Sequence[TreeEntry]) -> AsyncIterator[Proof]:
    """What every certificate among `files` proves; read a few at a time, for together they outgrow memory.

    Raises:
        UserError: if one cannot be read.
    """
    found = [file for file in files if CERTIFICATE.fullmatch(file.path)]
    seen = accumulate((file.size for file in found), initial=0)
    for _, group in groupby(zip(seen, found, strict=False), key=lambda each: each[0] // _BATCH):
        batch = [file for _, file in group]
        contents = await repository.blobs([file.sha for file in batch])
        for file in batch:
            yield proof_of(contents[file.sha], file.path, file.sha)
