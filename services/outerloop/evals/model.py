"""Eval: an input, the recorded world it ran in, what must hold of the run, and how often.

On the suite branch an eval is a directory `evals/ID/` with `eval.yaml` (this model) and `cassette.jsonl`.
Its held-out variants are in another place: see `heldout`.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.base import NAMED
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import NoRepeatedCall, ToolCalled, ToolNotCalled
from outerloop.evals.expect.values import Path
from outerloop.runtime.documents import Document, first_problem, parse_yaml
from outerloop.runtime.errors import UserError

# What new evals are written in. The hash of the first format did not say which kind an expectation was.
FORMAT: Literal[2] = 2
_OF_FIRST_FORMAT = (ToolCalled, ToolNotCalled, NoRepeatedCall, NoErrorStatus, Answered)
# It names a directory of the suite branch, and stands in messages of commits.
EvalId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
_BREAKS = re.compile("[\x85\u2028\u2029]")


class Divergence(StrEnum):
    """What the tool stub does with a call that the cassette does not hold."""

    FAIL = "fail"
    NEAREST = "nearest"
    LIVE = "live"


class ToolDefinition(Document):
    """A tool as a server of the Model Context Protocol lists it; `input_schema` is a JSON Schema."""

    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)


class Replay(Document):
    """How a call is found in the cassette.

    `ignore` are paths in the arguments that do not count (`*` for any element), such as those of timestamps
    and request ids. Texts are compared without case with `ignore_case`, lists without order with
    `ignore_order`.
    `changes` are the tools that change state: a call that comes after one of them gets the answer that was
    recorded after it. `tools` are what an agent that speaks the Model Context Protocol is shown; without any,
    what the recorded calls tell.
    """

    ignore: tuple[Path, ...] = ()
    ignore_case: bool = False
    ignore_order: bool = False
    changes: tuple[str, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()


class RecordedCall(Document):
    """One tool call as production made it. One line of `cassette.jsonl`."""

    tool: str
    arguments: dict[str, Any]
    result: str
    failed: bool = False


class Provenance(Document):
    """Who wrote the eval, from what, and who made it binding.

    Of the `source_traces` the first is the exemplar; no held-out variant is made from any of them.

    `model` and `prompt` are the language model that drafted it and the version of its prompt, "" without one.
    """

    drafted_by: str
    drafted_at: datetime
    source_traces: tuple[str, ...]
    model: str = ""
    prompt: str = ""
    accepted_by: str = ""
    accepted_at: datetime | None = None


class Eval(Document):
    """One eval. All of `expect` must hold of a trial for it to pass.

    A change closes it by a pass rate that is proven above `bar`. From then on every change must keep a rate:
    that at closing, less `margin` (critical .10, standard .25, cold .40). Neither is ever lowered.
    New evals are of format 2 (see FORMAT).
    """

    format: Literal[1, 2] = 1
    id: EvalId
    agent: str
    mode_id: str
    title: str
    input: dict[str, Any]
    expect: Annotated[tuple[Expectation, ...], Field(min_length=1)]
    divergence: Divergence = Divergence.LIVE
    replay: Replay = Replay()
    bar: Annotated[float, Field(ge=0.3, le=0.95)] = 0.75
    margin: Annotated[float, Field(ge=0.1, le=0.4)] = 0.25
    provenance: Provenance

    @model_validator(mode="after")
    def _hashed_whole(self) -> "Eval":
        newer = [e for e in self.expect if not isinstance(e, _OF_FIRST_FORMAT)]
        if self.format == 1 and newer:
            raise ValueError(f"an eval that expects {newer[0].check!r} says `format: {FORMAT}` at its top")
        return self

    def to_yaml(self) -> str:
        """The text of `eval.yaml`; the same eval gives the same text."""
        return as_yaml(self)

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


def content_sha256(eval_: Eval, cassette: Cassette, held_out: Iterable[str] = ()) -> str:
    """What a review and a verdict are bound to: everything but who accepted it and when.

    `held_out` is what each of the held-out variants says (`heldout.HeldOut.content`), in their order.
    """
    provenance = eval_.provenance.model_copy(update={"accepted_by": "", "accepted_at": None})
    unsigned = eval_.model_copy(update={"provenance": provenance})
    # Without defaults: a field that a later version adds leaves the hashes of older evals as they are.
    context = NAMED if eval_.format > 1 else None
    document = unsigned.model_dump(mode="json", exclude_defaults=True, context=context)
    said = json.dumps(document, sort_keys=True)
    # No JSON text holds a NUL, so that no two evals are the same text.
    return hashlib.sha256("\0".join([said, cassette.to_jsonl(), *held_out]).encode()).hexdigest()


def as_yaml(document: Document) -> str:
    """The document's text in YAML; equal documents give the same text.

    What a person did not say is left out of expectations and of how calls are found again.
    """
    whole = document.model_dump(mode="json")
    terse = document.model_dump(mode="json", exclude_defaults=True, context=NAMED)
    for key in whole.keys() & {"format", "expect", "replay"}:
        if key in terse:
            whole[key] = terse[key]
        else:
            del whole[key]
    return yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes every text so that it is read again as it was."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # To YAML these are line breaks, and are read as "\n"; PyYAML escapes them in double quotes only.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _text)
