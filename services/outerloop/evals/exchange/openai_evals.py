"""OpenAI's evals: hosted ones (an eval object with its items), and samples of the open-source registry."""

from collections.abc import Mapping, Sequence
from typing import Any

from outerloop.evals.exchange.case import (
    NEEDS_JUDGE,
    Case,
    Lost,
    Said,
    at_least_answered,
    chat,
    contains,
    equals,
    filled,
    message,
    objects,
    starts_with,
    user,
    why,
)
from outerloop.evals.expect.composite import AnyOf, Expectation, Not
from outerloop.runtime.errors import UserError

_OUTPUT = "sample.output_text"
_REQUESTS = ("input", "question", "query", "prompt", "request", "message", "text")
_AS_MATCH = "ideal: the file does not name the eval's class; taken as basic Match: the answer begins with it"


def cases(document: Mapping[str, Any], items: Sequence[Any]) -> list[Case]:
    """The cases of a hosted eval; `items` are lines of its data, where they are in another file.

    Raises:
        UserError: if there are no items, or they do not say what is asked of the model.
    """
    source = _source(document)
    rows = [*items, *_rows(source), *(document.get("items") or document.get("data") or [])]
    if not rows:
        raise UserError("OpenAI: the eval has no items in this file: give their JSON lines with --items")
    template = (source.get("input_messages") or {}).get("template")
    return [_case(n, document, template, _item(row)) for n, row in enumerate(rows, start=1)]


def samples(lines: Sequence[Mapping[str, Any]]) -> list[Case]:
    """The cases of a registry's samples: {"input", "ideal"}."""
    given = objects(list(lines), "OpenAI: sample")
    return [_sample(number, line) for number, line in enumerate(given, start=1)]


def _source(document: Mapping[str, Any]) -> Mapping[str, Any]:
    runs = document.get("runs")
    run = runs[0] if isinstance(runs, list) and runs else document.get("run") or document
    found = run.get("data_source") or {}
    return found if isinstance(found, dict) else {}


def _rows(source: Mapping[str, Any]) -> Sequence[Any]:
    return (source.get("source") or {}).get("content") or []


def _item(row: Any) -> Mapping[str, Any]:
    item = row.get("item", row) if isinstance(row, dict) else {}
    return item if isinstance(item, dict) else {}


def _case(number: int, document: Mapping[str, Any], template: Any, item: Mapping[str, Any]) -> Case:
    values = {"item": item, **item}
    expect: list[Expectation] = []
    lost: list[Lost] = []
    criteria = objects(document.get("testing_criteria") or [], "OpenAI: testing criterion")
    for at, criterion in enumerate(criteria):
        said = _said(criterion, values)
        if said.expect is not None:
            expect.append(said.expect)
        else:
            what = f"{criterion.get('type')} {criterion.get('name', '')}: {said.lost}"
            lost.append(Lost(what, ("testing_criteria", at)))
    name = f"{document.get('name') or 'eval'} {number}"
    messages = _messages(number, template, item, values)
    return Case(name=name, messages=messages, expect=at_least_answered(expect), lost=tuple(lost))


def _messages(
    number: int, template: Any, item: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[dict[str, Any], ...]:
    if isinstance(template, list):
        try:
            return tuple(message(str(each["role"]), _content(each, values)) for each in template)
        except LookupError as error:
            raise UserError(f"OpenAI: item {number}: {error}") from error
    if messages := chat(item.get("input") or item.get("messages")):
        return messages
    if (field := next((each for each in _REQUESTS if isinstance(item.get(each), str)), None)) is None:
        known = ", ".join(_REQUESTS)
        raise UserError(f"OpenAI: item {number} says nowhere what is asked: name that field one of {known}")
    return user(item[field])


def _content(each: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    content = each.get("content", "")
    text = content.get("text", "") if isinstance(content, dict) else content
    return filled(str(text), values)


def _said(criterion: Mapping[str, Any], values: Mapping[str, Any]) -> Said:
    kind = criterion.get("type")
    if kind in {"label_model", "score_model"}:
        return Said(lost=NEEDS_JUDGE)
    if kind != "string_check":
        return Said(lost="has no counterpart")
    if str(criterion.get("input", "")).replace(" ", "") != "{{" + _OUTPUT + "}}":
        return Said(lost=f"looks at {criterion.get('input')!r}, not at the answer alone")
    try:
        reference = filled(str(criterion.get("reference", "")), values)
        return _compared(str(criterion.get("operation")), reference)
    except (LookupError, ValueError) as error:
        return Said(lost=f"cannot be said: {why(error)}")


def _compared(operation: str, reference: str) -> Said:
    match operation:
        case "eq":
            return Said(equals(reference))
        case "ne":
            return Said(Not.model_validate({"of": equals(reference)}))
        case "like" | "ilike":
            return Said(contains(reference, ignore_case=operation == "ilike"))
    return Said(lost=f"has no counterpart for the operation {operation!r}")


def _sample(number: int, line: Mapping[str, Any]) -> Case:
    asked = line.get("input", "")
    ideal = line.get("ideal")
    ideals = [each for each in (ideal if isinstance(ideal, list) else [ideal]) if isinstance(each, str)]
    if not ideals:
        raise UserError(f"OpenAI: sample {number} has no text as its `ideal`")
    wanted = [starts_with(each) for each in ideals]
    expect = wanted if len(wanted) == 1 else [AnyOf.model_validate({"of": tuple(wanted)})]
    return Case(
        name=f"sample {number}",
        messages=chat(asked) or user(str(asked)),
        expect=tuple(expect),
        lost=(Lost(_AS_MATCH, (0, "ideal")),) if number == 1 else (),
    )
