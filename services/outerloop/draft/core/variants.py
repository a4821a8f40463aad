"""Variants: an eval's failure in other cases and other words, to be held out of the proposer's sight.

There are three ways to one, the surest first: another recorded failure of the mode; the exemplar's request as
a model words it; the exemplar about another case, with other ids, names, amounts and dates in request,
recording and expectations alike (`others`). Each is checked as the eval was: its failing run fails it, and
healthy runs on requests like its own pass, each on its case; those that are rewritten with it, too.

What was held out once, or shown to a proposer, is not held out again when the mode opens again.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, cast

from outerloop.draft.core.carry import asked, ids_in, without_ids
from outerloop.draft.core.case import in_case_of, on_case_of
from outerloop.draft.core.measure import FALSE_ALARMS, Draft, Failing
from outerloop.draft.core.others import Others, every, put
from outerloop.evals.cassette import recording
from outerloop.evals.expect.base import NAMED
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.grade import grade
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import MOST, Crowd, always_called

# A request in other words is not much longer: what is said besides could be another wish.
_LONGER, _MORE = 3, 200


def recorded(
    made: Draft,
    failing: Sequence[Failing],
    healthy: Sequence[Trace],
    most: int,
    used: Collection[str] = (),
) -> list[HeldOut]:
    """Up to `most` other failures of the mode on requests like the exemplar's; `failing` by their time.

    No more than half of them: the proposer is shown the others, the oldest ones. One whose case cannot be
    told from its request is none; nor is one on the request of a trace that was `used` before.
    """
    alike = {t.trace_id for t in Crowd([f.trace for f in failing]).like(made.exemplar)}
    other = {
        f.trace.request: f.trace for f in failing if f.trace.trace_id in alike and f.trace.input_messages
    }
    known = {f.trace.request for f in failing if f.trace.trace_id in used}
    for request in (made.exemplar.request, *known):
        other.pop(request, None)
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


def recast(made: Draft, healthy: Sequence[Trace], seed: str) -> HeldOut | None:
    """The exemplar about another case; None where it names none, or where its recording may not suffice.

    Of another case only the recording knows. So a good run must find there all that healthy runs call: the
    failing run had made all of these calls, with success.
    """
    exemplar = made.exemplar
    alike = Crowd(healthy).like(exemplar)
    called = {call.name for call in exemplar.tool_calls if not call.failed}
    demanded = [e for e in made.expect if isinstance(e, ToolCalled | StateChanges)]
    suffices = called.issuperset(always_called(alike[:MOST])) and grade(demanded, exemplar).passed
    if not alike or not suffices:
        return None
    tries = (_with(others, made, alike, healthy) for others in every(exemplar, seed))
    return next((held for held in tries if held is not None), None)


def _with(others: Others, made: Draft, alike: Sequence[Trace], healthy: Sequence[Trace]) -> HeldOut | None:
    """The variant with others in their places, if it is proven as the eval was, on what is rewritten so."""
    trace = rewritten(made.exemplar, others)
    text = Variant(input={}, expect=made.expect).model_dump_json(context=NAMED)
    expect = Variant.model_validate_json(put(text, others)).expect
    same = [t for t in alike if asked(t).split() == asked(made.exemplar).split()]
    good = [t for t in same if grade(made.expect, t).passed]
    if not all(grade(expect, rewritten(t, others)).passed for t in good):
        return None
    if not _holds(expect, trace, Crowd(healthy)):
        return None
    return HeldOut(_variant(trace.input_messages, expect, made), recording(trace))


def rewritten(trace: Trace, others: Others) -> Trace:
    """The run as it would have been about another case."""
    return Trace.of(
        [
            replace(
                span,
                input=put(span.input, others),
                output=put(span.output, others),
                arguments=put(span.arguments, others),
                result=put(span.result, others),
            )
            for span in trace.spans
        ]
    )


def _variant(messages: list[Any], expect: tuple[Expectation, ...], made: Draft) -> Variant:
    return Variant(input={"messages": messages}, expect=() if expect == made.expect else expect)


def _holds(expect: Sequence[Expectation], failing: Trace, healthy: Crowd) -> bool:
    """Whether the failing run fails it, and (nearly) all healthy runs on requests like its own pass."""
    alike = healthy.like(failing)
    alarms = sum(not grade(on_case_of(t, expect, failing), t).passed for t in alike)
    return not grade(expect, failing).passed and alarms <= FALSE_ALARMS * len(alike)
