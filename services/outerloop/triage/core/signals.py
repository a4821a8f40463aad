"""Signs that a trace is bad, each a small function over it; none needs a model.

Rules of high precision: each can be wrong only where the trace itself is, so no mode is about nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import ToolCall, Trace
from outerloop.trace.signal import Signal

# Named in every verdict, so that two detectors can be told apart. Raise it with any change of a rule.
DETECTOR = "rules/1"
# Twice may be a retry that helps; the same call a third time with the same result does not.
REPEATS = 3
DETAIL_CHARACTERS = 500
_ERROR_TEXT = re.compile(r"^\s*(\{\s*\"error\"|error\b)", re.IGNORECASE)


def signals_of(trace: Trace, evaluations: Sequence[Evaluation]) -> tuple[Signal, ...]:
    """Every sign of failure, the most telling first. None: as far as rules can say, the trace is fine."""
    found = [s for rule in RULES for s in rule(trace)]
    return (*found[:1], *_evaluations(evaluations), *found[1:])


def repeated_calls(trace: Trace) -> Iterator[Signal]:
    """The same tool called with the same arguments REPEATS times or more, and answering the same."""
    seen = Counter(_same(call) for call in trace.tool_calls)
    for call in _first_of_each(trace.tool_calls):
        if (times := seen[_same(call)]) >= REPEATS:
            detail = f"called {times} times with {_json(call)}; every time: {call.result}"
            yield _signal("repeated_call", call.name, detail, call.span_id)


def tool_errors(trace: Trace) -> Iterator[Signal]:
    """A tool whose last call failed: a failure that the agent did not recover from."""
    last = {call.name: call for call in trace.tool_calls}
    for name, call in last.items():
        if call.failed or _ERROR_TEXT.match(call.result):
            yield _signal("tool_error", name, call.result or "no result", call.span_id)


def error_status(trace: Trace) -> Iterator[Signal]:
    """The run as a whole says that it failed: an error status on the root span."""
    root = trace.root
    if root.failed:
        detail = " ".join(filter(None, (root.error_type, root.status_message)))
        yield _signal("error_status", root.operation or root.name, detail, root.span_id)


def empty_answer(trace: Trace) -> Iterator[Signal]:
    """The model was asked, and the run ended without a word."""
    said_something = any(s.output for s in trace.spans)
    if trace.model_calls and said_something and not trace.answer:
        yield _signal("empty_answer", trace.root.operation or "run", "no answer", trace.root.span_id)


# In the order in which they name a failure: what happened first, before what came of it.
RULES: tuple[Callable[[Trace], Iterator[Signal]], ...] = (
    repeated_calls,
    tool_errors,
    error_status,
    empty_answer,
)


def _evaluations(evaluations: Sequence[Evaluation]) -> Iterator[Signal]:
    for evaluation in evaluations:
        if evaluation.bad:
            detail = f"{evaluation.label or evaluation.score}: {evaluation.explanation}"
            yield _signal("evaluation", evaluation.name or evaluation.source, detail, evaluation.span_id)


def _signal(kind: str, subject: str, detail: str, span_id: str) -> Signal:
    return Signal(kind, subject, " ".join(detail.split())[:DETAIL_CHARACTERS], span_id)


def _same(call: ToolCall) -> tuple[str, str, str]:
    return call.name, _json(call), call.result


def _json(call: ToolCall) -> str:
    return json.dumps(call.arguments, sort_keys=True, ensure_ascii=False)


def _first_of_each(calls: Sequence[ToolCall]) -> Iterator[ToolCall]:
    seen: set[tuple[str, str, str]] = set()
    for call in calls:
        if _same(call) not in seen:
            seen.add(_same(call))
            yield call
