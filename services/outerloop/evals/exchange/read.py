"""Read: which format a file is of, its cases, and evals of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import yaml

from outerloop.evals.exchange import deepeval, inspect_ai, openai_evals, promptfoo
from outerloop.evals.exchange.case import Case, Lost, why
from outerloop.evals.model import FORMAT, Cassette, Divergence, Eval, Provenance
from outerloop.evals.suite import Entry
from outerloop.runtime.documents import line_at
from outerloop.runtime.errors import UserError
from outerloop.runtime.yamltext import composed, loaded


class Format(StrEnum):
    """What can be read."""

    PROMPTFOO = "promptfoo"
    DEEPEVAL = "deepeval"
    INSPECT = "inspect"
    OPENAI = "openai"
    OPENAI_REGISTRY = "openai-registry"


def read(text: str, where: str, format_: Format | None = None, items: str = "") -> tuple[Format, list[Case]]:
    """The cases of a file, and what it is; `items` is the text of the items of an OpenAI eval.

    Raises:
        UserError: saying what in `where` cannot be read, and what to do.
    """
    document, rows = _document(text, where)
    format_ = format_ or _format(document)
    if format_ is None:
        raise UserError(f"{where}: this is of no known format; say which with --format")
    try:
        found = _cases(format_, document, _lines(items, "the items") if items else [])
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is no file of {format_.value}: {_said(error)}") from error
    if not found:
        raise UserError(f"{where}: there is no case in it")
    places = _Places(text, where, rows)
    return format_, [replace(case, lost=tuple(map(places.named, case.lost))) for case in found]


@dataclass(frozen=True)
class _Places:
    """Where something stands in a file; `rows` are the lines of its rows, if it is JSON lines."""

    text: str
    where: str
    rows: Sequence[int]

    @cached_property
    def _node(self) -> yaml.Node | None:
        try:
            return composed(self.text, self.where)
        except UserError:  # JSON that is no YAML, as with tabs
            return None

    def named(self, lost: Lost) -> Lost:
        """What was lost, with its file and line."""
        if self.rows:
            line = self.rows[int(lost.at[0])] if lost.at else self.rows[0]
        else:
            line = line_at(self._node, lost.at) if self._node else 0
        return replace(lost, where=f"{self.where}:{line}" if line else self.where)


def entry_of(case: Case, agent: str, source: Format, at: datetime) -> Entry:
    """The eval of a case. Its id follows from its content: the same case gives the same.

    No recorded failure is of its mode, which is its own and has its id.
    """
    eval_ = Eval(
        format=FORMAT,
        id=f"imported-{source.value}",
        agent=agent,
        mode_id=f"imported:{source.value}",
        title=case.name,
        input={"messages": list(case.messages)},
        expect=case.expect,
        divergence=Divergence.LIVE,
        provenance=Provenance(drafted_by=f"import from {source.value}", drafted_at=at, source_traces=()),
    )
    cassette = Cassette(calls=case.calls)
    said = (
        eval_.model_copy(update={"id": ""}).model_dump_json(exclude={"provenance"}, context={"named": True})
        + cassette.to_jsonl()
    )
    eval_id = f"imported-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    return Entry(eval_.model_copy(update={"id": eval_id, "mode_id": eval_id}), cassette)


def _cases(format_: Format, document: Any, items: Sequence[Any]) -> list[Case]:
    match format_:
        case Format.PROMPTFOO:
            return promptfoo.cases(document)
        case Format.DEEPEVAL:
            return deepeval.cases(document)
        case Format.INSPECT:
            return inspect_ai.cases(document)
        case Format.OPENAI:
            return openai_evals.cases(document, items)
        case Format.OPENAI_REGISTRY:
            return openai_evals.samples(document)


def _said(error: Exception) -> str:
    if isinstance(error, ValueError):
        return why(error)
    if isinstance(error, KeyError):
        return f"something in it lacks {error}"
    return f"something in it is no object or list where the format has one ({why(error)})"


def _document(text: str, where: str) -> tuple[Any, list[int]]:
    """What the file says, and, if it is JSON lines, which lines say something."""
    try:
        return json.loads(text), []
    except RecursionError as error:
        raise UserError(f"{where} is nested too deep") from error
    except ValueError:
        pass
    first = text.lstrip()[:1]
    if first == "{" and "\n" in text.strip():
        rows = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        return _lines(text, where), rows
    try:
        return loaded(text, where), []
    except UserError as error:
        raise UserError(f"{error}; nor is it JSON, or JSON lines") from error


def _lines(text: str, where: str) -> list[Any]:
    found: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            found += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}:{number} is not JSON: {error}") from error
    return found


def _format(document: Any) -> Format | None:
    if isinstance(document, dict):
        return _of_object(document)
    first = document[0] if isinstance(document, list) and document else None
    if not isinstance(first, dict):
        return None
    if "ideal" in first:
        return Format.OPENAI_REGISTRY
    if first.keys() & {"expected_output", "expected_tools", "actual_output", "expectedOutput", "turns"}:
        return Format.DEEPEVAL
    return Format.INSPECT if "input" in first else None


def _of_object(document: Mapping[str, Any]) -> Format | None:
    if "testing_criteria" in document:
        return Format.OPENAI
    if "samples" in document and "eval" in document:
        return Format.INSPECT
    if document.keys() & {"goldens", "conversational_goldens", "testCases", "test_cases"}:
        return Format.DEEPEVAL
    if document.keys() & {"tests", "prompts"}:
        return Format.PROMPTFOO
    if "ideal" in document:
        return None
    return None
