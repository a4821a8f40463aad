"""Signs in what the tools were asked and what they answered."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from outerloop.trace.acts import act_of
from outerloop.trace.model import ToolCall
from outerloop.trace.signal import Signal
from outerloop.triage.core.signs.making import arguments, failed, same, signal
from outerloop.triage.core.transcript import Transcript

# Twice may be a retry that helps; the same call a third time with the same result does not.
REPEATS = 3
# The same error so often is not a way of finding out.
ERRORS_IN_A_ROW = 3
LOOP = 8
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def repeated_call(seen: Transcript) -> Iterator[Signal]:
    """The same tool called with the same arguments REPEATS times or more, and answering the same."""
    times = Counter(same(call) for _, call in seen.calls)
    for key, n in times.items():
        if n >= REPEATS:
            call = next(c for _, c in seen.calls if same(c) == key)
            detail = f"called {n} times with {arguments(call)}; every time: {call.result}"
            yield signal("repeated_call", call.name, detail, call.span_id)


def tool_error(seen: Transcript) -> Iterator[Signal]:
    """A tool whose last call failed, and nothing came right after it: the agent did not recover."""
    ended = len(seen.calls)
    while ended and failed(seen.calls[ended - 1][1]):
        ended -= 1
    last = {call.name: (n, call) for n, (_, call) in enumerate(seen.calls)}
    for name, (n, call) in last.items():
        if failed(call) and (n >= ended or act_of(name) == "write"):
            yield signal("tool_error", name, call.result or "no result", call.span_id)


def error_passed(seen: Transcript) -> Iterator[Signal]:
    """A tool whose last call failed, after which the agent went on by other tools."""
    told = {s.subject for s in tool_error(seen)}
    last = {call.name: call for _, call in seen.calls}
    for name, call in last.items():
        if failed(call) and name not in told:
            yield signal("error_passed", name, call.result or "no result", call.span_id)


def recovered_error(seen: Transcript) -> Iterator[Signal]:
    """A tool that failed and answered later: the agent found its way, by trying."""
    last = {call.name: call for _, call in seen.calls}
    for name, ending in last.items():
        wrong = [c for _, c in seen.calls if c.name == name and failed(c)]
        if wrong and not failed(ending):
            detail = f"failed {len(wrong)} times before it answered: {wrong[0].result}"
            yield signal("recovered_error", name, detail, wrong[0].span_id)


def error_streak(seen: Transcript) -> Iterator[Signal]:
    """ERRORS_IN_A_ROW calls one after the other that all failed."""
    run = 0
    for _, call in seen.calls:
        run = run + 1 if failed(call) else 0
        if run == ERRORS_IN_A_ROW:
            yield signal(
                "error_streak", call.name, f"{run} calls in a row failed: {call.result}", call.span_id
            )


def loop(seen: Transcript) -> Iterator[Signal]:
    """One tool LOOP times in a row, with nothing else between: a search that does not end."""
    run, before = 0, ""
    for _, call in seen.calls:
        run = run + 1 if call.name == before else 1
        before = call.name
        if run == LOOP:
            yield signal("loop", call.name, f"called {LOOP} times in a row", call.span_id)


def schema_violation(seen: Transcript) -> Iterator[Signal]:
    """A call that its tool's own schema does not allow, where the trace has the schema."""
    for _, call in seen.calls:
        if seen.tools and call.name not in seen.tools:
            yield signal("schema_violation", call.name, "no such tool", call.span_id)
        elif wrong := next(_violations(call, seen.tools.get(call.name, {})), ""):
            yield signal("schema_violation", call.name, wrong, call.span_id)


def _violations(call: ToolCall, schema: Mapping[str, Any]) -> Iterator[str]:
    required, properties = schema.get("required"), schema.get("properties")
    for name in required if isinstance(required, list) else []:
        if name not in call.arguments:
            yield f"{name} is missing"
    for name, value in call.arguments.items():
        wanted = properties.get(name) if isinstance(properties, dict) else None
        if wanted is None:
            if isinstance(properties, dict) and schema.get("additionalProperties") is False:
                yield f"{name} is no argument of it"
        elif isinstance(wanted, dict):
            yield from _mistyped(name, value, wanted)


def _mistyped(name: str, value: Any, wanted: Mapping[str, Any]) -> Iterator[str]:
    kind = _TYPES.get(str(wanted.get("type")))
    if kind and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        yield f"{name} is not of type {wanted['type']}"
    choices = wanted.get("enum")
    if isinstance(choices, list) and value not in choices:
        yield f"{name} is none of the values that are allowed"
