"""Tombstone: that a person has retired an eval, by name and with a reason.

    retired/EVAL_ID.json     on the suite branch

The eval itself stays where it is, so that what was once proven can be proven again; it binds no longer, and
never comes back under its id.
"""

import re
from datetime import datetime
from typing import Annotated

from pydantic import Field, ValidationError

from outerloop.runtime.documents import Document, first_problem
from outerloop.runtime.errors import UserError

FOLDER = "retired/"
PATH = re.compile(r"retired/([^/]+)\.json")


class Tombstone(Document):
    """Which eval, with which content, binds no longer; who says so, why and since when."""

    eval_id: Annotated[str, Field(min_length=1)]
    content_sha256: str
    retired_by: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    retired_at: datetime

    @property
    def path(self) -> str:
        """Where it stands on the suite branch."""
        return f"{FOLDER}{self.eval_id}.json"

    def to_json(self) -> bytes:
        """Its file; the same tombstone gives the same bytes."""
        return (self.model_dump_json() + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes, where: str) -> "Tombstone":
        """Read the file at the path `where`.

        Raises:
            UserError: naming `where` and what is wrong with it.
        """
        try:
            stone = cls.model_validate_json(content)
        except ValidationError as error:
            raise UserError(f"{where}: {first_problem(error)}") from error
        if stone.path != where:
            raise UserError(f"{where}: it is of eval {stone.eval_id!r}, not of the one that its name says")
        return stone
