"""Before: what a certificate was built on."""

from collections.abc import Mapping
from dataclasses import dataclass

from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An eval of the suite: the hash of its content, what it asks for, and how many variants are held out."""

    content_sha256: str
    bar: float
    margin: float
    variants: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a certificate was built on: the suite, its evals by id, and the certificate before it."""

    suite_commit: str
    suite_sha256: str
    evals: Mapping[str, Held]
    standings: Mapping[str, Standing]
    previous: str


def claims_of(certificate: Certificate, kind: Kind) -> list[Shown]:
    """The claims of one kind."""
    return [claim for claim in certificate.claims if claim.kind is kind]
