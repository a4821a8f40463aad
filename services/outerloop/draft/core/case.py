"""Case: which arguments of a call say which case it was about, and an eval held against another case."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from outerloop.draft.core.carry import asked, carried_arguments, forms, ids_in, whole
from outerloop.evals.expect.base import Check
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.tools import ToolCalled, ToolNotCalled
from outerloop.evals.grade import grade
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import ToolCall, Trace

_ID = re.compile(r"\S*\d\S*")
_LONGEST = 200  # characters of a value that may name a case


def case_of(trace: Trace, call: ToolCall) -> dict[str, Any]:
    """The arguments of a call of `trace` that name its case; {} when none does.

    An argument names the case when its value occurs in the request or in what earlier tools returned. Ids
    come before other words, and the request before the tools, as a worse choice would let the same deed
    pass under another wording or amount. Text of several words never counts: it can be worded otherwise.
    """
    earlier = takewhile(lambda c: c.span_id != call.span_id, trace.tool_calls)
    told = "\n".join(c.result for c in earlier)
    words = {key: value for key, value in call.arguments.items() if _is_word(value)}
    ids = {key: value for key, value in words.items() if isinstance(value, str) and _ID.fullmatch(value)}
    tiers = (_named(of, text) for of in (ids, words) for text in (asked(trace), told))
    return next(filter(None, tiers), {})


def _named(arguments: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if _occurs(value, text)}


def _is_word(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and len(value.split()) == 1
    return isinstance(value, int | float) and not isinstance(value, bool)


def _occurs(value: Any, text: str) -> bool:
    word = value.strip() if isinstance(value, str) else canonical(value)
    return any(re.search(whole(re.escape(form), form), text, re.IGNORECASE) for form in forms(word))


def caught(expect: Sequence[Check], exemplar: Trace, failing: Trace) -> bool:
    """Whether the eval fails on a failure of its mode.

    A forbidden call names the exemplar's case; on another failure, that failure's own case stands there.
    Healthy runs are graded with the exemplar's: that a call is wrong in one case says nothing of others.
    """
    own = [_forbidden_in(failing, e) for e in on_case_of(failing, expect, exemplar)]
    return not grade(own, failing).passed


def in_case_of(failing: Trace, expect: Sequence[Check], exemplar: Trace) -> list[Check] | None:
    """What the eval expects, said of the case of another failure of its mode; None if that cannot be told.

    It can when that request names all that the exemplar's did, and the run did what is forbidden, if anything
    is: only then is it known what that means there.
    """
    own = [_forbidden_in(failing, e) for e in on_case_of(failing, expect, exemplar)]
    told = all(_named_by(before) == _named_by(after) for before, after in zip(expect, own, strict=True))
    undone = any(isinstance(e, ToolNotCalled) and e.arguments and grade([e], failing).passed for e in own)
    left = ids_in(asked(exemplar)) - ids_in(asked(failing))
    said = "\n".join(text for e in own for text in _texts(e.model_dump(mode="json")))
    return None if not told or undone or any(_occurs(each, said) for each in left) else own


def on_case_of(trace: Trace, expect: Sequence[Check], exemplar: Trace) -> list[Check]:
    """What is expected of a run on a request like the exemplar's: calls that are asked for name its own case.

    What its request does not name is not asked of its calls.
    """
    here, there = asked(exemplar), asked(trace)
    if trace.trace_id == exemplar.trace_id or here.split() == there.split():
        return list(expect)
    return [_carried(e, here, there) for e in expect]


def _carried(expectation: Check, here: str, there: str) -> Check:
    if isinstance(expectation, ToolCalled) and expectation.arguments:
        own = carried_arguments(expectation.arguments, here, there)
        return expectation.model_copy(update={"arguments": own})
    if isinstance(expectation, StateChanges):
        calls = tuple(
            call.model_copy(update={"arguments": carried_arguments(call.arguments, here, there)})
            for call in expectation.calls
        )
        return expectation.model_copy(update={"calls": calls})
    return expectation


def _forbidden_in(failing: Trace, expectation: Check) -> Check:
    if not isinstance(expectation, ToolNotCalled):
        return expectation
    made = (case_of(failing, c) for c in failing.tool_calls if c.name == expectation.tool and not c.failed)
    own = next((case for case in made if case.keys() == expectation.arguments.keys()), None)
    return expectation if own is None else expectation.model_copy(update={"arguments": own})


def _named_by(expectation: Check) -> list[set[str]]:
    """The arguments that it names, call by call."""
    if isinstance(expectation, ToolCalled | ToolNotCalled):
        return [set(expectation.arguments)]
    calls = expectation.calls if isinstance(expectation, StateChanges) else ()
    return [set(call.arguments) for call in calls]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
