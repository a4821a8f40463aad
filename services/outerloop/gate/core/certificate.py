"""The certificate: what a shipped change was proven by. Canonical JSON, so that its hash is of its meaning.

Certificates of an agent form a chain: each names the SHA-256 of the one before it, "" for the first.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from outerloop.runtime.errors import UserError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """One eval: what it asked for, and the trials that counted."""

    eval_id: str
    content_sha256: str
    asked_trials: int
    asked_passes: int
    trials: int
    passed: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """The record that travels with a shipped change.

    `suite_commit` ("" for the first) and `suite_sha256` are of the suite before the new eval came in.
    `models` are those that the trials' spans name, `proposed_by` the one that wrote the change. Tokens and
    `seconds` are sums over all trials that were run, those that did not count included.
    """

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
    evidence: tuple[Evidence, ...]
    sandbox: str
    models: tuple[str, ...]
    proposed_by: str
    input_tokens: int
    output_tokens: int
    seconds: float
    gate_version: str
    previous: str
    format: int = FORMAT

    def to_json(self) -> bytes:
        """Sorted keys, no spaces, UTF-8, one newline at the end: equal certificates are equal bytes."""
        text = json.dumps(
            asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return f"{text}\n".encode()

    @classmethod
    def from_json(cls, content: bytes, where: str = "certificate") -> "Certificate":
        """Parse what `to_json` wrote.

        Raises:
            UserError: naming `where` and the field that is wrong, or that these bytes are not canonical.
        """
        try:
            certificate = TypeAdapter(cls).validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        if certificate.to_json() != content:
            raise UserError(f"{where}: not canonical; somebody has edited it")
        return certificate


def sha256(certificate: bytes) -> str:
    """The hash that the next certificate and the commit's trailer name."""
    return hashlib.sha256(certificate).hexdigest()
