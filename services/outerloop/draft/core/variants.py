"""Variants: an eval's failure in other cases and other words, to be held out of the proposer's sight.

There are three ways to one, the surest first: another recorded failure of the mode; the exemplar's request as
a model words it; the exemplar with other ids, in request, recording and expectations alike. Each is checked
as the eval was: its failing run fails it, and healthy runs on requests like its own pass, each on its case.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, cast

from outerloop.draft.core.carry import asked, forms, ids_in, is_id, whole, without_ids
from outerloop.draft.core.case import in_case_of, on_case_of
from outerloop.draft.core.measure import FALSE_ALARMS, Draft, Failing
from outerloop.evals.cassette import recording
from outerloop.evals.expect.base import NAMED
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.grade import grade
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.trace.model import Span, Trace
from outerloop.trace.neighbours import MOST, Crowd, always_called

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4}|\d\d?:\d\d")
_NUMBER = re.compile(r"\d{3,}")
_LETTER = re.compile(r"[^\W\d_]")
_NAMES = re.compile(r"(id|number|no|code|ref|reference)$", re.IGNORECASE)
# A request in other words is not much longer: what is said besides could be another wish.
_LONGER, _MORE = 3, 200


def recorded(made: Draft, failing: Sequence[Failing], healthy: Sequence[Trace], most: int) -> list[HeldOut]:
    """Up to `most` other failures of the mode on requests like the exemplar's; `failing` by their time.

    No more than half of them: the proposer is shown the others, the oldest ones. One whose case cannot be
    told from its request is none.
    """
    alike = {t.trace_id for t in Crowd([f.trace for f in failing]).like(made.exemplar)}
    other = {
        f.trace.request: f.trace for f in failing if f.trace.trace_id in alike and f.trace.input_messages
    }
    other.pop(made.exemplar.request, None)
    crowd, found = Crowd(healthy), list[HeldOut]()
    for trace in _by_words(list(reversed(other.values())), made.exemplar):
        if len(found) >= min(most, len(other) // 2):
            break
        told = in_case_of(trace, made.expect, made.exemplar)
        expect = cast("tuple[Expectation, ...]", tuple(told or ()))
        if expect and _holds(expect, trace, crowd):
            variant = _variant(trace.input_messages, expect, made)
            named = variant.model_copy(update={"source_trace": trace.trace_id})
            found.append(HeldOut(named, recording(trace)))
    return found


def _by_words(traces: Sequence[Trace], exemplar: Trace) -> list[Trace]:
    """In the same order, but first those that are worded as neither the exemplar nor one before."""
    seen, fresh, again = {without_ids(exemplar.request)}, list[Trace](), list[Trace]()
    for trace in traces:
        wording = without_ids(trace.request)
        (again if wording in seen else fresh).append(trace)
        seen.add(wording)
    return [*fresh, *again]


def reworded(made: Draft, text: str) -> HeldOut | None:
    """The exemplar's request in these words; None where they are not of the same case."""
    messages = made.exemplar.input_messages
    if sum(message.get("role") == "user" for message in messages) != 1:
        return None
    before = made.exemplar.request
    same = ids_in(before) == ids_in(text)
    if not same or text.split() == before.split() or len(text) > _LONGER * len(before) + _MORE:
        return None
    said = {"role": "user", "parts": [{"type": "text", "content": text}]}
    anew = [said if message.get("role") == "user" else message for message in messages]
    return HeldOut(Variant(input={"messages": anew}), recording(made.exemplar))


def renamed(made: Draft, healthy: Sequence[Trace]) -> HeldOut | None:
    """The exemplar with other ids; None where it has none, or where its recording may not suffice.

    Of another id only the recording knows. So a good run must find there all that healthy runs call: the
    failing run had made all of these calls, with success.
    """
    exemplar = made.exemplar
    others, alike = _others(exemplar), Crowd(healthy).like(exemplar)
    called = {call.name for call in exemplar.tool_calls if not call.failed}
    demanded = [e for e in made.expect if isinstance(e, ToolCalled | StateChanges)]
    suffices = called.issuperset(always_called(alike[:MOST])) and grade(demanded, exemplar).passed
    if not others or not alike or not suffices:
        return None
    trace = Trace.of([_with_others(span, others) for span in exemplar.spans])
    text = Variant(input={}, expect=made.expect).model_dump_json(context=NAMED)
    expect = Variant.model_validate_json(_put(text, others)).expect
    if not _holds(expect, trace, Crowd(healthy)):
        return None
    return HeldOut(_variant(trace.input_messages, expect, made), recording(trace))


def _variant(messages: list[Any], expect: tuple[Expectation, ...], made: Draft) -> Variant:
    return Variant(input={"messages": messages}, expect=() if expect == made.expect else expect)


def _holds(expect: Sequence[Expectation], failing: Trace, healthy: Crowd) -> bool:
    """Whether the failing run fails it, and (nearly) all healthy runs on requests like its own pass."""
    alike = healthy.like(failing)
    alarms = sum(not grade(on_case_of(t, expect, failing), t).passed for t in alike)
    return not grade(expect, failing).passed and alarms <= FALSE_ALARMS * len(alike)


def _others(trace: Trace) -> dict[str, str]:
    """The numbers in ids that the request names and a tool was called with, each with another one."""
    request, everything = asked(trace), "\n".join(f"{s.input}{s.arguments}{s.result}" for s in trace.spans)
    named = {
        number[0]
        for call in trace.tool_calls
        for key, value in call.arguments.items()
        if _names_a_case(key, value) and any(_occurs(form, request) for form in forms(str(value)))
        for number in [_NUMBER.search(str(value))]
        if number
    }
    made = {number: _another(number, trace.trace_id, everything) for number in sorted(named)}
    return {number: other for number, other in made.items() if other}


def _names_a_case(key: str, value: Any) -> bool:
    word = str(value)
    return is_id(value) and not _DATE.search(word) and bool(_LETTER.search(word) or _NAMES.search(key))


def _occurs(form: str, text: str) -> bool:
    return bool(re.search(whole(re.escape(form), form), text, re.IGNORECASE))


def _another(number: str, seed: str, everything: str) -> str:
    """A number as long that occurs nowhere, always the same for a trace; "" if none is found."""
    least = 10 ** (len(number) - 1)
    for attempt in range(100):
        digest = blake2b(f"{seed}/{number}/{attempt}".encode(), digest_size=8).digest()
        made = str(least + int.from_bytes(digest, "big") % (9 * least))
        if made not in everything:
            return made
    return ""


def _with_others(span: Span, others: Mapping[str, str]) -> Span:
    return replace(
        span,
        input=_put(span.input, others),
        output=_put(span.output, others),
        arguments=_put(span.arguments, others),
        result=_put(span.result, others),
    )


def _put(text: str, others: Mapping[str, str]) -> str:
    if not others:
        return text
    numbers = "|".join(map(re.escape, others))
    return re.sub(rf"(?<![\d.])(?:{numbers})(?!\d|\.\d)", lambda match: others[match[0]], text)
