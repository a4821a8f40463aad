"""Eval: an input, the recorded world it ran in, what must hold of the run, and how often.

On the suite branch an eval is a directory `evals/ID/` with `eval.yaml` (this model) and `cassette.jsonl`.
"""

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from outerloop.runtime.documents import Document, first_problem, parse_yaml
from outerloop.runtime.errors import UserError

_BREAKS = re.compile("[\x85\u2028\u2029]")


class ToolCalled(Document):
    """The tool was called, with at least these arguments (equal after JSON), without an error."""

    check: Literal["tool_called"] = "tool_called"
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class ToolNotCalled(Document):
    """The tool was never called with these arguments ({}: not at all)."""

    check: Literal["tool_not_called"] = "tool_not_called"
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class NoRepeatedCall(Document):
    """No tool call was made more than `most` times with the same arguments."""

    check: Literal["no_repeated_call"] = "no_repeated_call"
    most: Annotated[int, Field(ge=1)] = 2


class NoErrorStatus(Document):
    """The run as a whole ended without an error: its root span has none."""

    check: Literal["no_error_status"] = "no_error_status"


class Answered(Document):
    """The run ended with an answer that is not empty."""

    check: Literal["answered"] = "answered"


Expectation = Annotated[
    ToolCalled | ToolNotCalled | NoRepeatedCall | NoErrorStatus | Answered, Field(discriminator="check")
]


class Divergence(StrEnum):
    """What the tool stub does with a call that the cassette does not hold."""

    FAIL = "fail"
    NEAREST = "nearest"
    LIVE = "live"


class RecordedCall(Document):
    """One tool call as production made it. One line of `cassette.jsonl`."""

    tool: str
    arguments: dict[str, Any]
    result: str
    failed: bool = False


class Provenance(Document):
    """Who wrote the eval, from what, and who made it binding."""

    drafted_by: str
    drafted_at: datetime
    source_traces: tuple[str, ...]
    accepted_by: str = ""
    accepted_at: datetime | None = None


class Eval(Document):
    """One eval. All of `expect` must hold of a trial for it to pass.

    A change closes it by a pass rate that is proven above `bar`. From then on every change must keep a rate:
    that at closing, less `margin` (critical .10, standard .25, cold .40). Neither is ever lowered.
    """

    id: str
    agent: str
    mode_id: str
    title: str
    input: dict[str, Any]
    expect: Annotated[tuple[Expectation, ...], Field(min_length=1)]
    divergence: Divergence = Divergence.LIVE
    bar: Annotated[float, Field(ge=0.3, le=0.95)] = 0.75
    margin: Annotated[float, Field(ge=0.1, le=0.4)] = 0.25
    provenance: Provenance

    def to_yaml(self) -> str:
        """The text of `eval.yaml`; the same eval gives the same text."""
        document = self.model_dump(mode="json")
        return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)

    @classmethod
    def from_yaml(cls, text: str, where: str = "eval.yaml") -> "Eval":
        """Parse `eval.yaml`.

        Raises:
            UserError: naming `where`, the field and what is wrong with it.
        """
        return parse_yaml(cls, text, where)


class Cassette(Document):
    """The recorded tool calls of an eval, in the order in which they were made."""

    calls: tuple[RecordedCall, ...] = ()

    def to_jsonl(self) -> str:
        """The text of `cassette.jsonl`."""
        return "".join(call.model_dump_json() + "\n" for call in self.calls)

    @classmethod
    def from_jsonl(cls, text: str, where: str = "cassette.jsonl") -> "Cassette":
        """Parse `cassette.jsonl`.

        Raises:
            UserError: naming `where`, the line and what is wrong with it.
        """
        calls: list[RecordedCall] = []
        # Not splitlines: a JSON text may hold the line breaks of Unicode as they are.
        for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
            try:
                calls.append(RecordedCall.model_validate_json(line))
            except ValidationError as error:
                raise UserError(f"{where}:{number}: {first_problem(error)}") from error
        return cls(calls=tuple(calls))


def content_sha256(eval_: Eval, cassette: Cassette) -> str:
    """What a review and a verdict are bound to: everything but who accepted it and when."""
    provenance = eval_.provenance.model_copy(update={"accepted_by": "", "accepted_at": None})
    unsigned = eval_.model_copy(update={"provenance": provenance})
    # Without defaults: a field that a later version adds leaves the hashes of older evals as they are.
    said = json.dumps(unsigned.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(f"{said}\0{cassette.to_jsonl()}".encode()).hexdigest()


class _Dumper(yaml.SafeDumper):
    """Writes every text so that it is read again as it was."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # To YAML these are line breaks, and are read as "\n"; PyYAML escapes them in double quotes only.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _text)
