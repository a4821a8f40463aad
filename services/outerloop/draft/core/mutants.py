"""Mutants: healthy runs that are broken on purpose, each in one way. A good eval fails them all.

But for those that are broken in a way in which healthy runs on such requests are too: what good runs leave
out or do besides is no fault, and an eval that failed them would fail those good runs. They are *equivalent*:
counted apart, whatever the eval says of them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from outerloop.draft.core import ways
from outerloop.draft.core.carry import asked, carried, carried_where_told, is_id
from outerloop.trace.model import Span, Trace

_MOVED = 0xFA110000  # begins the ids of spans of another run, so that they are none of this one's
REFUSAL = "I'm sorry, but I can't help with that."


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken run, the way in which it is broken, and what was done to it, in words.

    `so_is` tells of another run whether it is so too.
    """

    way: str
    what: str
    trace: Trace
    so_is: Callable[[Trace], bool]

    def equivalent(self, healthy: Sequence[Trace]) -> bool:
        """Whether one of these healthy runs, on requests like its own, is so without being broken."""
        return any(map(self.so_is, healthy))


def mutants(
    healthy: Trace, needed: Sequence[str], failure: Trace, shown_by: str, writes: Sequence[str] = ()
) -> list[Mutant]:
    """Every way in which `healthy` is broken. The same run gives the same mutants.

    `needed` are tools that every healthy run of its kind calls: without one, or with another id than was
    asked about, the work is not done. `failure` is a recorded failure, and the span `shown_by` what is wrong
    with it: that is done in the healthy run too. Of `writes`, tools that change state, one that the run does
    not call is called besides.
    """
    made = [
        *_dropped(healthy, needed),
        *_of_another_case(healthy, needed),
        Mutant("answer emptied", "its answer is empty", with_answer(healthy, ""), ways.silent),
        _refused(healthy, needed),
        *_the_failure_itself(healthy, failure, shown_by),
        *_one_change_more(healthy, writes),
    ]
    return [mutant for mutant in made if mutant.trace != healthy]


def with_answer(trace: Trace, answer: str) -> Trace:
    """The run with another answer."""
    said = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": answer}]}])
    last = trace.model_calls[-1].span_id if trace.model_calls else ""
    ending = {trace.root.span_id, last}

    def changed(span: Span) -> Span:
        if span.span_id in ending:
            return replace(span, output=said if answer else "[]")
        # Of a run that says nothing at the end, what an earlier call of the model gave is no answer either.
        return span

    return _mapped(trace, changed)


def _dropped(trace: Trace, needed: Sequence[str]) -> Iterator[Mutant]:
    for tool in needed:
        what, dropped = f"it does not call {tool}", _without(trace, {tool})
        yield Mutant("call dropped", what, dropped, partial(ways.never_calls, tool))


def _of_another_case(trace: Trace, needed: Sequence[str]) -> Iterator[Mutant]:
    request = asked(trace)
    for tool in needed:
        calls = [call for call in trace.tool_calls if call.name == tool]
        keys = dict.fromkeys(key for call in calls for key in call.arguments)
        for key in keys:
            values = [call.arguments[key] for call in calls if key in call.arguments]
            if all(is_id(value) and carried(value, request, request) == value for value in values):
                what = f"it calls {tool} with another {key}"
                changed = _with_other(trace, tool, key)
                yield Mutant("argument changed", what, changed, partial(ways.of_no_case, tool, key))


def _refused(trace: Trace, needed: Sequence[str]) -> Mutant:
    """It ends before the last thing that was needed, and says no."""
    last = next((c.name for c in reversed(trace.tool_calls) if c.name in needed), "")
    cut = _without(trace, {last}) if last else trace
    return Mutant("refusal", "it refuses", with_answer(cut, REFUSAL), partial(ways.says_no, last))


def _the_failure_itself(healthy: Trace, failure: Trace, shown_by: str) -> Iterator[Mutant]:
    blamed = next((s for s in failure.spans if s.span_id == shown_by), None)
    if blamed is None or blamed.span_id == failure.root.span_id:
        root = failure.root
        if root.failed:
            broken = replace(healthy.root, status=root.status, error_type=root.error_type)
            ends = _mapped(healthy, _instead(broken))
            yield Mutant("the failure", "it ends with an error", ends, ways.ends_with_an_error)
        return
    same = [s for s in failure.spans if (s.tool, s.arguments) == (blamed.tool, blamed.arguments)]
    if blamed.operation == "execute_tool":
        moved = [_moved(span, failure, healthy, n) for n, span in enumerate(same)]
        what, wrong = f"it calls {blamed.tool} as the failing run does", Trace.of((*healthy.spans, *moved))
        yield Mutant("the failure", what, wrong, partial(ways.calls_as_wrongly, failure, shown_by))


def _one_change_more(healthy: Trace, writes: Sequence[str]) -> Iterator[Mutant]:
    called = {call.name for call in healthy.tool_calls}
    tool = next((name for name in writes if name not in called), "")
    if tool:
        end = max(s.start_ns for s in healthy.spans)
        call = Span(
            trace_id=healthy.trace_id,
            span_id=f"{_MOVED:08x}{'c' * 8}",
            parent_span_id=healthy.root.span_id,
            name=f"execute_tool {tool}",
            start_ns=end + 1,
            end_ns=end + 2,
            operation="execute_tool",
            tool=tool,
            arguments="{}",
            result="ok",
        )
        what, more = f"it calls {tool} as well", Trace.of((*healthy.spans, call))
        yield Mutant("change added", what, more, partial(ways.calls, tool))


def _moved(span: Span, failure: Trace, healthy: Trace, number: int) -> Span:
    """A call of the failing run, made at the end of the healthy one, about the healthy one's case."""
    here, there = asked(failure), asked(healthy)
    arguments = _loads(span.arguments)
    if isinstance(arguments, dict):
        arguments = carried_where_told(arguments, here, there)
    end = max(s.start_ns for s in healthy.spans)
    return replace(
        span,
        trace_id=healthy.trace_id,
        span_id=f"{_MOVED + number:08x}{span.span_id[-8:]}",
        parent_span_id=healthy.root.span_id,
        start_ns=end + 1 + number,
        end_ns=end + 2 + number,
        arguments=json.dumps(arguments) if isinstance(arguments, dict) else span.arguments,
    )


def _with_other(trace: Trace, tool: str, key: str) -> Trace:
    def changed(span: Span) -> Span:
        arguments = _loads(span.arguments)
        if span.tool != tool or not isinstance(arguments, dict) or key not in arguments:
            return span
        return replace(span, arguments=json.dumps(arguments | {key: _other(arguments[key])}))

    return _mapped(trace, changed)


def _other(value: Any) -> Any:
    """An id of the same make, and of nothing that was asked about."""
    if isinstance(value, int):
        return value + 1
    return "".join(str((int(c) + 1) % 10) if c.isdecimal() else c for c in str(value))


def _without(trace: Trace, tools: set[str]) -> Trace:
    kept = [s for s in trace.spans if s.operation != "execute_tool" or s.tool not in tools]
    return Trace.of(kept) if kept else trace


def _mapped(trace: Trace, change: Callable[[Span], Span]) -> Trace:
    return Trace.of([change(span) for span in trace.spans])


def _instead(new: Span) -> Callable[[Span], Span]:
    return lambda span: new if span.span_id == new.span_id else span


def _loads(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return None
