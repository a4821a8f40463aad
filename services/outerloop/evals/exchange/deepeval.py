"""DeepEval's datasets: goldens (a list, or under "goldens"), test cases of a run, conversational goldens."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from outerloop.evals.exchange.case import Case, Lost, Place, at_least_answered, message, objects, user
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.model import RecordedCall
from outerloop.runtime.errors import UserError

_LISTS = ("goldens", "conversational_goldens", "test_cases", "conversational_test_cases")
_NOT_TAKEN = ("context", "retrieval_context", "scenario", "expected_outcome", "user_description")


def cases(document: Any) -> list[Case]:
    """The cases of a dataset.

    Raises:
        UserError: if a golden has neither input nor turns.
    """
    return [_case(number, *golden) for number, golden in enumerate(_goldens(document), start=1)]


def _goldens(document: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    if isinstance(document, list):
        yield from (((at,), _snake(each)) for at, each in enumerate(objects(document, "DeepEval: golden")))
        return
    for key, value in document.items():
        if _snake({key: 0}).keys() & set(_LISTS):
            listed = objects(value or [], f"DeepEval: {key}")
            yield from (((key, at), _snake(each)) for at, each in enumerate(listed))


def _snake(golden: Mapping[str, Any]) -> dict[str, Any]:
    """With the names of Python's side: a stored run has those of JavaScript's."""
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower(): value for key, value in golden.items()}


def _case(number: int, at: Place, golden: Mapping[str, Any]) -> Case:
    lost: list[Lost] = []
    turns = golden.get("turns")
    if turns:
        asked = objects(turns, f"DeepEval: golden {number}: turn")
        while asked and asked[-1].get("role") != "user":
            asked.pop()
        messages = tuple(message(str(turn.get("role", "user")), turn.get("content", "")) for turn in asked)
    elif "input" in golden:
        messages = user(str(golden["input"]))
    else:
        raise UserError(f"DeepEval: golden {number} has neither input nor turns")
    wanted = objects(golden.get("expected_tools") or [], f"DeepEval: golden {number}: expected tool")
    expect = [_called(tool) for tool in map(_snake, wanted)]
    if expected := golden.get("expected_output"):
        what = (
            f"expected_output: DeepEval compares it by metrics in code: say what of it the answer must hold"
            f" ({str(expected)[:300]})"
        )
        lost.append(Lost(what, (*at, "expected_output")))
    lost += [Lost(f"{key}: is not taken over", (*at, key)) for key in _NOT_TAKEN if golden.get(key)]
    made = objects(golden.get("tools_called") or [], f"DeepEval: golden {number}: called tool")
    calls = tuple(map(_made, map(_snake, made)))
    name = str(golden.get("name") or f"golden {number}")
    return Case(name=name, messages=messages, expect=at_least_answered(expect), calls=calls, lost=tuple(lost))


def _called(tool: Mapping[str, Any]) -> Expectation:
    return ToolCalled(tool=str(tool["name"]), arguments=tool.get("input_parameters") or {})


def _made(tool: Mapping[str, Any]) -> RecordedCall:
    output = tool.get("output")
    result = output if isinstance(output, str) else "" if output is None else json.dumps(output)
    return RecordedCall(tool=str(tool["name"]), arguments=tool.get("input_parameters") or {}, result=result)
