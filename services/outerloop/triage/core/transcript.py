"""Transcript: what was said and done in a trace, in order, whatever shape it was recorded in.

Agents resend their history with every call to the model, or only what is new; some record it as messages,
some as flat attributes, some not at all. One reading of it all, so that a sign is written once.
"""

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

from outerloop.trace.messages import text_of
from outerloop.trace.model import Span, ToolCall, Trace
from outerloop.triage.core.entities import entities, leaves

Role = Literal["user", "assistant", "call"]
_FLAT = re.compile(r"(?:llm|gen_ai)\.(input_messages|output_messages|prompt|completion)\.(\d+)\.(.+)")
_FLAT_CALL = re.compile(
    r"(?:message\.)?tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)"
)
_CALL_IDS = ("gen_ai.tool.call.id", "tool.id", "tool_call.id")


@dataclass(slots=True)
class Step:
    """One thing that happened: the user said `text`, the agent said it, or the agent called a tool.

    `span_id` is the span that shows it. `own` is false for what another trace of the session did, and this
    one only remembers.
    """

    role: Role
    text: str = ""
    call: ToolCall | None = None
    span_id: str = ""
    own: bool = True
    call_id: str = ""


@dataclass(frozen=True)
class Transcript:
    """The steps of a trace in order, and the rules that the agent was given."""

    trace: Trace
    steps: tuple[Step, ...]
    policy: str = ""
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    @cached_property
    def particulars(self) -> list[frozenset[str]]:
        """The entities of each step: of what was said, or of a tool's result."""
        return [entities(step.call.result if step.call else step.text) for step in self.steps]

    @cached_property
    def asked(self) -> list[frozenset[str]]:
        """The entities of the arguments of each step, none where it is no call."""
        return [
            entities(" ".join(v for _, v in leaves(step.call.arguments))) if step.call else frozenset()
            for step in self.steps
        ]

    @cached_property
    def calls(self) -> list[tuple[int, ToolCall]]:
        """Tool calls with their place among the steps."""
        return [(i, step.call) for i, step in enumerate(self.steps) if step.call]

    @cached_property
    def user(self) -> list[tuple[int, str]]:
        """What the user said, with its place."""
        return [(i, step.text) for i, step in enumerate(self.steps) if step.role == "user"]

    @cached_property
    def answer(self) -> str:
        """The agent's last words, "" when something came after them."""
        last = self.steps[-1] if self.steps else None
        return last.text if last and last.role == "assistant" else ""

    @cached_property
    def said(self) -> list[tuple[int, str]]:
        """What the agent said, with its place."""
        return [(i, step.text) for i, step in enumerate(self.steps) if step.role == "assistant"]


@dataclass(frozen=True, slots=True)
class _Called:
    call_id: str
    name: str
    arguments: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class _Message:
    role: str
    text: str
    calls: tuple[_Called, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()  # id of the call, result


def transcript_of(trace: Trace) -> Transcript:
    """Read a trace as what was said and done."""
    history = _history(trace.model_calls) or _messages_of(trace.root.input, trace.root.output)
    steps = _steps(history)
    _place(steps, trace)
    spans = [trace.root, *trace.model_calls]
    policy = next((p for s in spans if (p := _policy(s))), "")
    tools = next((t for s in spans if (t := _tools(s))), {})
    return Transcript(trace, tuple(steps), policy, tools)


def _history(calls: Sequence[Span]) -> list[_Message]:
    """The messages of all calls to a model, each once."""
    known: list[_Message] = []
    for n, span in enumerate(calls):
        later = calls[n + 1].input if n + 1 < len(calls) else ""
        # A call whose input the next one repeats says nothing of its own; most of a trace's bytes are that.
        if len(span.input) > len("[]") and later.startswith(span.input.rstrip()[:-1]):
            continue
        heard = _parsed(span.input, "user") if span.input else _flat(span, "input_messages", "prompt")
        _extend(known, heard)
        known.extend(_said(span))
    return known


def _extend(known: list[_Message], heard: Sequence[_Message]) -> None:
    if heard[: len(known)] == known:
        known.extend(heard[len(known) :])
        return
    common = next((n for n in range(len(heard), 0, -1) if known[-n:] == heard[:n]), 0)
    if not common:
        seen = set(known)
        heard = [m for m in heard if m not in seen]
    known.extend(heard[common:])


def _said(span: Span) -> Sequence[_Message]:
    if span.output:
        return _parsed(span.output, "assistant")
    return _flat(span, "output_messages", "completion")


def _messages_of(heard: str, said: str) -> list[_Message]:
    return [*_parsed(heard, "user"), *_parsed(said, "assistant")]


# What a call said is asked for twice: for the history, and to find its span again.
@lru_cache(maxsize=128)
def _parsed(text: str, role: str) -> Sequence[_Message]:
    try:
        value = json.loads(text) if text else []
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, str):
        return [_Message(role, value)] if value else []
    items = value if isinstance(value, list) else [value]
    return [m for item in items if isinstance(item, dict) and (m := _message(item, role)).role != "system"]


def _message(item: Mapping[str, Any], role: str) -> _Message:
    parts = item.get("parts")
    parts = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    calls = [_called(p) for p in parts if p.get("type") == "tool_call"]
    older = item.get("tool_calls")
    calls += [_called(c) for c in older if isinstance(c, dict)] if isinstance(older, list) else []
    answers = [
        (str(p.get("id") or ""), _plain(p["result"] if "result" in p else p.get("response", "")))
        for p in parts
        if p.get("type") == "tool_call_response"
    ]
    said = str(item.get("role") or role)
    text = text_of(item).strip()
    if said == "tool" and not answers:
        answers = [(str(item.get("tool_call_id") or ""), text)]
    return _Message(said, "" if said == "tool" else text, tuple(calls), tuple(answers))


def _called(part: Mapping[str, Any]) -> _Called:
    inner = part.get("function")
    named = inner if isinstance(inner, dict) else part
    given = named.get("arguments")
    arguments = _json(given) if isinstance(given, str) else given
    return _Called(
        str(part.get("id") or ""),
        str(named.get("name") or ""),
        arguments if isinstance(arguments, dict) else {},
    )


def _flat(span: Span, *names: str) -> list[_Message]:
    """Messages that OpenInference and older instrumentations flatten into indexed attributes."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in span.attributes.items():
        at = _FLAT.match(key)
        if not at or at[1] not in names:
            continue
        message = found.setdefault(int(at[2]), {"calls": {}})
        if call := _FLAT_CALL.fullmatch(at[3]):
            message["calls"].setdefault(int(call[1]), {})[call[2]] = value
        else:
            message[at[3].removeprefix("message.")] = value
    items = [
        {**m, "tool_calls": [c for _, c in sorted(m["calls"].items())]} for _, m in sorted(found.items())
    ]
    role = "user" if "input_messages" in names else "assistant"
    return [m for item in items if (m := _message(item, role)).role != "system"]


def _steps(history: Iterable[_Message]) -> list[Step]:
    steps: list[Step] = []
    # Some agents use the id of a call again: an answer belongs to the first call that waits for one.
    waiting: dict[str, deque[Step]] = defaultdict(deque)
    for message in history:
        if message.text and message.role in {"user", "assistant"}:
            steps.append(Step("user" if message.role == "user" else "assistant", message.text, own=False))
        for called in message.calls:
            call = ToolCall(called.name, called.arguments, "", failed=False, span_id="")
            steps.append(Step("call", call=call, own=False, call_id=called.call_id))
            waiting[called.call_id].append(steps[-1])
        for call_id, result in message.answers:
            if waiting[call_id]:
                step = waiting[call_id].popleft()
                step.call = step.call and replace(step.call, result=result)
    return steps


def _place(steps: list[Step], trace: Trace) -> None:
    """Give every step the span that shows it, and add the calls that no message tells of."""
    _place_calls(steps, trace)
    spoken: dict[str, list[Span]] = defaultdict(list)
    for span in trace.model_calls:
        for message in _said(span):
            spoken[message.text].append(span)
    following = ""
    last = trace.model_calls[-1].span_id if trace.model_calls else trace.root.span_id
    for step in reversed(steps):
        if step.role == "assistant" and (spans := spoken.get(step.text)):
            step.span_id, step.own = spans.pop().span_id, True
        if step.role == "user":
            step.own = bool(following) or not trace.model_calls
        step.span_id = step.span_id or following or last
        following = step.span_id if step.own else ""


def _place_calls(steps: list[Step], trace: Trace) -> None:
    spans = {s.span_id: s for s in trace.spans if s.operation == "execute_tool"}
    left = {call.span_id: call for call in trace.tool_calls}
    by_id: dict[str, deque[ToolCall]] = defaultdict(deque)
    for done in trace.tool_calls:
        by_id[_call_id(spans[done.span_id])].append(done)
    by_id.pop("", None)
    for step in steps:
        if step.call is None:
            continue
        queue = by_id.get(step.call_id)
        told = step.call
        call = queue.popleft() if queue else next((c for c in left.values() if _alike(c, told)), None)
        if call is None or left.pop(call.span_id, None) is None:
            continue
        step.call = _joined(step.call, call)
        step.span_id, step.own = call.span_id, True
    ending = steps.pop() if left and steps and steps[-1].role == "assistant" else None
    steps.extend(Step("call", call=call, span_id=call.span_id) for call in left.values())
    if ending:
        steps.append(ending)


def _joined(asked: ToolCall, done: ToolCall) -> ToolCall:
    # What the model asked for stands in its message; what came of it, in the tool's span.
    return ToolCall(
        asked.name or done.name,
        asked.arguments or done.arguments,
        done.result or asked.result,
        done.failed,
        done.span_id,
    )


def _alike(call: ToolCall, told: ToolCall) -> bool:
    return call.name == told.name and (call.arguments == told.arguments or not told.arguments)


def _call_id(span: Span) -> str:
    return next((v for name in _CALL_IDS if (v := span.attributes.get(name))), "")


def _policy(span: Span) -> str:
    if text := span.attributes.get("gen_ai.system_instructions"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return text_of({"parts": value}) if isinstance(value, list) else text
    for n in range(2):
        for role, content in (
            (f"llm.input_messages.{n}.message.role", f"llm.input_messages.{n}.message.content"),
            (f"gen_ai.prompt.{n}.role", f"gen_ai.prompt.{n}.content"),
        ):
            if span.attributes.get(role) == "system":
                return span.attributes.get(content, "")
    return ""


def _tools(span: Span) -> dict[str, Mapping[str, Any]]:
    """The schema of each tool's arguments, by name; {} where the span does not define its tools."""
    listed = _json(span.attributes.get("gen_ai.tool.definitions", ""))
    items = listed if isinstance(listed, list) else []
    for key, value in span.attributes.items():
        if key.startswith("llm.tools.") and key.endswith("json_schema"):
            items.append(_json(value))
    found: dict[str, Mapping[str, Any]] = {}
    for item in items:
        inner = item.get("function", item) if isinstance(item, dict) else {}
        schema = inner.get("parameters") or inner.get("input_schema") if isinstance(inner, dict) else None
        if isinstance(schema, dict):
            found[str(inner.get("name") or "")] = schema
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
