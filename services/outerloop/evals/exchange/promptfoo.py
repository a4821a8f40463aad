"""promptfoo's configuration (promptfooconfig.yaml or .json): every prompt with every test is a case."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from outerloop.evals.exchange.case import (
    NEEDS_JUDGE,
    Case,
    Lost,
    Place,
    Said,
    at_least_answered,
    chat,
    contains,
    equals,
    filled,
    starts_with,
    user,
    why,
)
from outerloop.evals.expect.answer import AnswerFits, AnswerMatches
from outerloop.evals.expect.behaviour import AtMost, Finished
from outerloop.evals.expect.composite import AllOf, AnyOf, Expectation, Not
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.expect.tools import Call, ToolCalled, ToolsInOrder
from outerloop.runtime.errors import UserError

_JUDGED = (
    "llm-rubric",
    "g-eval",
    "model-graded",
    "factuality",
    "answer-relevance",
    "similar",
    "context-",
    "pi",
)


def cases(document: Mapping[str, Any]) -> list[Case]:
    """The cases of a configuration.

    Raises:
        UserError: if its tests are not in the file itself.
    """
    tests = document.get("tests")
    if not isinstance(tests, list):
        raise UserError("promptfoo: `tests` must be a list in this file: put in what it refers to")
    default = document.get("defaultTest") if isinstance(document.get("defaultTest"), dict) else {}
    prompts = [_prompt(prompt) for prompt in document.get("prompts") or [None]]
    left = [
        Lost(f"{key}: is not taken over", (key,))
        for key in ("scenarios", "derivedMetrics", "nunjucksFilters")
        if key in document
    ]
    found = [
        _case(number, (at, prompt), test, default or {})
        for number, test in enumerate(tests, start=1)
        for at, prompt in enumerate(prompts)
        if isinstance(test, dict)
    ]
    outside = [
        Lost(f"test {n}: {test!r} is in another file", ("tests", n - 1))
        for n, test in enumerate(tests, 1)
        if not isinstance(test, dict)
    ]
    if found and (left or outside):
        first = found[0]
        found[0] = Case(
            name=first.name, messages=first.messages, expect=first.expect, lost=(*left, *outside, *first.lost)
        )
    return found


def _prompt(prompt: Any) -> str | None:
    text = prompt.get("raw") or prompt.get("id") if isinstance(prompt, dict) else prompt
    return str(text) if text is not None else None


def _case(
    number: int, prompt: tuple[int, str | None], test: Mapping[str, Any], default: Mapping[str, Any]
) -> Case:
    values = {**(default.get("vars") or {}), **(test.get("vars") or {})}
    at: Place = ("tests", number - 1)
    messages, lost = _messages(prompt, values)
    lost += [
        Lost(
            f"vars.{name}: a list makes a test of each of its values there, and one value here",
            (*at, "vars", name),
        )
        for name, value in values.items()
        if isinstance(value, list)
    ]
    expect: list[Expectation] = []
    for place, assertion in [*_asserts(default, ("defaultTest",)), *_asserts(test, at)]:
        said = _said(assertion, values)
        if said.expect is not None:
            expect.append(said.expect)
        else:
            lost.append(Lost(f"assert {assertion.get('type')}: {said.lost}", place))
    lost += [
        Lost(f"{key}: is not taken over", (*at, key))
        for key in ("options", "threshold", "provider")
        if test.get(key)
    ]
    name = str(test.get("description") or f"test {number}")
    return Case(name=name, messages=messages, expect=at_least_answered(expect), lost=tuple(lost))


def _asserts(of: Mapping[str, Any], at: Place) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for number, assertion in enumerate(of.get("assert") or []):
        yield (*at, "assert", number), assertion


def _messages(
    prompt: tuple[int, str | None], values: Mapping[str, Any]
) -> tuple[tuple[dict[str, Any], ...], list[Lost]]:
    number, template = prompt
    at, lost = ("prompts", number), list[Lost]()
    if template is None or template.startswith("file://"):
        if template:
            lost.append(Lost(f"prompt {template}: is in another file; the variables stand for it", at))
        only = next(iter(values.values()), "") if len(values) == 1 else values
        return user(only if isinstance(only, str) else json.dumps(only, ensure_ascii=False)), lost
    try:
        text = filled(template, values)
    except LookupError as error:
        lost.append(Lost(f"prompt: {error}", at))
        text = template
    try:
        return chat(json.loads(text)) or user(text), lost
    except ValueError:
        return user(text), lost


def _said(assertion: Mapping[str, Any], values: Mapping[str, Any]) -> Said:
    kind = str(assertion.get("type", ""))
    plain = kind.removeprefix("not-")
    if assertion.get("weight") == 0:
        return Said(lost="has weight 0: it only measures")
    if plain.startswith(_JUDGED):
        return Said(lost=f"{NEEDS_JUDGE}: {str(assertion.get('value'))[:300]}")
    make = _KINDS.get(plain)
    if make is None:
        told = f": {str(assertion['value'])[:300]}" if "value" in assertion else ""
        return Said(lost=f"has no counterpart{told}")
    try:
        value = _filled(assertion.get("value"), values)
        made = make(value, assertion)
    except (LookupError, ValueError, TypeError) as error:
        return Said(lost=f"cannot be said: {why(error)}")
    return Said(Not(of=made) if plain != kind else made)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        if value.startswith("file://"):
            raise LookupError(f"{value} is in another file")
        return filled(value, values)
    return [_filled(each, values) for each in value] if isinstance(value, list) else value


def _texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [v.strip() for v in str(value).split(",")]


def _each(how: Callable[..., Expectation], *, ignore_case: bool) -> Callable[[Any, Any], Expectation]:
    return lambda value, _: how(of=tuple(contains(v, ignore_case=ignore_case) for v in _texts(value)))


def _set(_: Any, assertion: Mapping[str, Any]) -> Expectation:
    if assertion.get("threshold") not in {None, 1}:
        raise ValueError("a set of which only a share must hold")
    said = [_said(each, {}) for each in assertion["assert"]]
    if lost := [each.lost for each in said if each.expect is None]:
        raise ValueError(f"one of its parts {lost[0]}")
    return AllOf(of=tuple(each.expect for each in said if each.expect is not None))


def _tool_used(value: Any, _: Any) -> Expectation:
    names = list(_names(value))
    called = tuple(ToolCalled(tool=name) for name in names)
    return called[0] if len(called) == 1 else AllOf(of=called)


def _names(value: Any) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict) and set(each) != {"name"}:
            raise ValueError(f"of tools only names can be said, not {each}")
        yield str(each["name"] if isinstance(each, dict) else each)


def _in_order(value: Any, _: Any) -> Expectation:
    steps = value.get("steps", []) if isinstance(value, dict) else value
    if isinstance(value, dict) and value.get("mode", "in_order") != "in_order":
        raise ValueError("other calls in between always count as allowed")
    return ToolsInOrder(calls=tuple(Call(tool=name) for name in _names(steps)))


def _args(value: Any, _: Any) -> Expectation:
    return ToolCalled(tool=value["name"], arguments=value.get("args", value.get("arguments", {})))


def _finished(value: Any, _: Any) -> Expectation:
    if value not in {"stop", "end_turn"}:
        raise ValueError(f"the finish reason {value!r}")
    return Finished()


_KINDS: dict[str, Callable[[Any, Any], Expectation]] = {
    "equals": lambda value, _: equals(value),
    "contains": lambda value, _: contains(str(value), ignore_case=False),
    "icontains": lambda value, _: contains(str(value), ignore_case=True),
    "contains-any": _each(AnyOf, ignore_case=False),
    "contains-all": _each(AllOf, ignore_case=False),
    "icontains-any": _each(AnyOf, ignore_case=True),
    "icontains-all": _each(AllOf, ignore_case=True),
    "starts-with": lambda value, _: starts_with(str(value)),
    "regex": lambda value, _: AnswerMatches(pattern=str(value)),
    "is-json": lambda value, _: AnswerFits(json_schema=value if isinstance(value, dict) else {}),
    "is-refusal": lambda *_: Refused(),
    "latency": lambda _, assertion: AtMost(seconds=float(assertion["threshold"]) / 1000),
    "cost": lambda _, assertion: AtMost(usd=float(assertion["threshold"])),
    "finish-reason": _finished,
    "assert-set": _set,
    "trajectory:tool-used": _tool_used,
    "trajectory:tool-sequence": _in_order,
    "trajectory:tool-args-match": _args,
}
