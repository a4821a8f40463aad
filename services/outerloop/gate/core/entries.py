"""Entries of the error ledger as lines of text, one JSON object each: what happened, and when.

Each line names the SHA-256 of the line before it ("" for the first), so that one that was edited, moved or
taken out breaks what follows it.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from outerloop.gate.core.spending import DELTA, Entry, Ledger, Released, Renewed, Reserved, Rested
from outerloop.runtime.documents import first_problem
from outerloop.runtime.errors import UserError


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime
    previous: str


class _Reserved(_Line):
    what: Literal["reserved"] = "reserved"
    content: str
    index: int
    term: int

    def entry(self) -> Entry:
        return Reserved(self.content, self.index, self.term)


class _Released(_Line):
    what: Literal["released"] = "released"
    content: str

    def entry(self) -> Entry:
        return Released(self.content)


class _Renewed(_Line):
    what: Literal["renewed"] = "renewed"
    by: str
    why: str
    term: int

    def entry(self) -> Entry:
        return Renewed(self.by, self.term)


class _Rested(_Line):
    what: Literal["rested"] = "rested"
    content: str
    trials: Annotated[int, Field(ge=0)]

    def entry(self) -> Entry:
        return Rested(self.content, self.trials)


_ADAPTER: TypeAdapter[_Reserved | _Released | _Renewed | _Rested] = TypeAdapter(
    Annotated[_Reserved | _Released | _Renewed | _Rested, Field(discriminator="what")]
)


def appended(text: bytes, entry: Entry, at: datetime, why: str = "") -> bytes:
    """The ledger's text with one more entry; `why` is of a renewal."""
    lines = _lines(text)
    previous, at = _sha256(lines[-1]) if lines else "", at.astimezone(UTC)
    line: _Line
    match entry:
        case Reserved(content=content, index=index, term=term):
            line = _Reserved(at=at, previous=previous, content=content, index=index, term=term)
        case Released(content=content):
            line = _Released(at=at, previous=previous, content=content)
        case Renewed(by=by, term=term):
            line = _Renewed(at=at, previous=previous, by=by, why=why, term=term)
        case Rested(content=content, trials=trials):
            line = _Rested(at=at, previous=previous, content=content, trials=trials)
    return text + line.model_dump_json().encode() + b"\n"


def folded(text: bytes, where: str, delta: float = DELTA) -> Ledger:
    """The state of the ledger with this text.

    Raises:
        UserError: naming `where` and the line, if it is not as `appended` leaves it.
    """
    ledger = Ledger(delta)
    for number, entry in enumerate(parsed(text, where), start=1):
        try:
            ledger.apply(entry)
        except ValueError as error:
            raise UserError(f"{where}:{number}: {error}") from error
    return ledger


def parsed(text: bytes, where: str) -> Iterator[Entry]:
    """The entries of the ledger with this text.

    Raises:
        UserError: at the first line that is none, or does not follow the one before it.
    """
    if text and not text.endswith(b"\n"):
        raise UserError(f"{where} ends in the middle of a line")
    previous = ""
    for number, raw in enumerate(_lines(text), start=1):
        try:
            line = _ADAPTER.validate_json(raw)
        except ValidationError as error:
            raise UserError(f"{where}:{number}: {first_problem(error)}") from error
        if line.previous != previous:
            raise UserError(f"{where}:{number}: does not follow the line before it")
        previous = _sha256(raw)
        yield line.entry()


@dataclass(frozen=True, slots=True)
class Renewal:
    """A person granted δ once more."""

    at: datetime
    by: str
    why: str


def renewals(text: bytes) -> list[Renewal]:
    """Who renewed δ, and why, in the ledger with this text; lines that are none of ours are left out."""
    found: list[Renewal] = []
    for raw in _lines(text):
        with suppress(ValidationError):
            line = _ADAPTER.validate_json(raw)
            if isinstance(line, _Renewed):
                found.append(Renewal(line.at, line.by, line.why))
    return found


def _lines(text: bytes) -> list[bytes]:
    return text.removesuffix(b"\n").split(b"\n") if text else []


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
