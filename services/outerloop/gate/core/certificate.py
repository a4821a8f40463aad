"""The certificate: what a shipped change was proven by. Canonical JSON, so that its hash is of its meaning.

Certificates of an agent form a chain: each names the SHA-256 of the one before it, "" for the first.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import Standing
from outerloop.runtime.errors import UserError

FORMAT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The error that the confirmation was allowed: α of an `index`, in a `term` of `delta`, for `content`.

    `ledger_commit` is a commit of the ledger that holds the reservation.
    """

    content: str
    term: int
    index: int
    delta: float
    alpha: float
    beta: float
    ledger_commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """Trials of the new eval at a base `commit`: the proof that there was something to fix."""

    commit: str
    passed: int
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """An earlier eval that the change cannot affect: its `fingerprint` is that of decision `decision_id`."""

    eval_id: str
    content_sha256: str
    fingerprint: str
    decision_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An earlier eval that the base itself fails today, by trials of the base: not charged to the change."""

    eval_id: str
    content_sha256: str
    passed: int
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The record that travels with a shipped change, or with a rollback.

    `suite_commit` ("" for the first) and `suite_sha256` are of the suite before this certificate;
    `standings`, by eval id, are those after it. `screen` is (passed, trials) of the throw-away trials.
    `heard` is a hash over all that the claims can depend on (`fingerprint.heard`), which `spending.content`
    follows from. Of a rollback, `reverts` is the shipped commit that is undone, `reason` the evidence in a
    sentence, and `ledger_commit` what the ledger had come to; it claims nothing, spends nothing, and every
    standing is kept.
    `models` are those that the trials' spans name, `proposed_by` the one that wrote the change. Tokens and
    `seconds` are sums over all trials that were run, those that did not count included.
    """

    kind: Literal["change", "rollback"]
    decision_id: str
    agent: str
    mode_id: str
    eval_id: str
    change_id: str
    base_commit: str
    patch_sha256: str
    candidate_tree: str
    suite_commit: str
    suite_sha256: str
    spending: Spending | None
    screen: tuple[int, int]
    claims: tuple[Shown, ...]
    inherited: tuple[Inherited, ...]
    broken: tuple[Broken, ...]
    reproduced: Reproduced | None
    reverts: str
    reason: str
    standings: Mapping[str, Standing]
    sandbox: str
    models: tuple[str, ...]
    proposed_by: str
    input_tokens: int
    output_tokens: int
    seconds: float
    gate_version: str
    previous: str
    heard: str = ""
    ledger_commit: str = ""
    format: Literal[2] = FORMAT

    @property
    def ledger_known(self) -> str:
        """A commit that the error ledger must contain from now on."""
        return self.spending.ledger_commit if self.spending else self.ledger_commit

    def to_json(self) -> bytes:
        """Sorted keys, no spaces, UTF-8, one newline at the end: equal certificates are equal bytes."""
        # Validated first, so that what is equal in Python (1 and 1.0) is written alike.
        plain = asdict(_ADAPTER.validate_python(asdict(self)))
        # What certificates of earlier versions do not have.
        plain = {name: value for name, value in plain.items() if value or name not in _LATER}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()

    @classmethod
    def from_json(cls, content: bytes, where: str = "certificate") -> "Certificate":
        """Parse what `to_json` wrote.

        Raises:
            UserError: naming `where` and the field that is wrong, or that these bytes are not canonical, or
                of another format.
        """
        try:
            certificate = _ADAPTER.validate_json(content)
        except ValidationError as error:
            raise UserError(f"{where}: {_problem(error)}") from error
        if certificate.to_json() != content:
            raise UserError(f"{where}: not canonical; somebody has edited it")
        return certificate


_ADAPTER = TypeAdapter(Certificate)
_LATER = ("heard", "ledger_commit")


def _problem(error: ValidationError) -> str:
    found = next((e["input"] for e in error.errors() if e["loc"] == ("format",)), FORMAT)
    if found != FORMAT:
        return f"format {found} is not what this version reads (format {FORMAT})"
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"


def sha256(certificate: bytes) -> str:
    """The hash that the next certificate and the commit's trailer name."""
    return hashlib.sha256(certificate).hexdigest()
