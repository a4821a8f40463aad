"""Signs in how a run ended."""

import json
import re
from collections.abc import Iterator

from outerloop.trace.acts import act_of
from outerloop.trace.signal import Signal
from outerloop.triage.core.signs.making import failed, signal
from outerloop.triage.core.transcript import Transcript

_CUT = {"length", "max_tokens", "max_output_tokens", "content_filter", "model_length"}
# Of text in lower case.
REFUSES = re.compile(
    r"\b(unable to|cannot|can['’]t|not able to|not allowed|not permitted|unfortunately"
    r"|against (the |our )?policy"
    r"|not possible|not eligible|isn['’]t possible|won['’]t be able|i must decline)\b"
)
_DONE = re.compile(
    r"\b(success(ful|fully)?|(has|have) been (\w+ )?(\w+ed|sent|made|paid|set|put|built|done)"
    r"|is now (\w+ed|set)|all set)\b"
)


def error_status(seen: Transcript) -> Iterator[Signal]:
    """The run as a whole says that it failed: an error status on the root span."""
    root = seen.trace.root
    if root.failed:
        detail = " ".join(filter(None, (root.error_type, root.status_message)))
        yield signal("error_status", root.operation or root.name, detail, root.span_id)


def empty_answer(seen: Transcript) -> Iterator[Signal]:
    """The model was asked, and the run ended without a word."""
    trace = seen.trace
    said_something = any(s.output for s in trace.spans) or bool(seen.said)
    ends_with_people = bool(seen.calls) and act_of(seen.calls[-1][1].name) == "handover"
    if trace.model_calls and said_something and not trace.answer and not seen.answer and not ends_with_people:
        yield signal("empty_answer", trace.root.operation or "run", "no answer", trace.root.span_id)


def abrupt_end(seen: Transcript) -> Iterator[Signal]:
    """The last thing that happened is a wish of the user or a tool's result, and the agent said no more."""
    last = seen.steps[-1] if seen.steps else None
    if last is None or last.role == "assistant" or not seen.said:
        return
    if last.call is None:
        yield signal("abrupt_end", "user", f"never answered: {last.text}", last.span_id)
    elif act_of(last.call.name) != "handover":
        yield signal("abrupt_end", last.call.name, f"nothing said after: {last.call.result}", last.span_id)


def truncated(seen: Transcript) -> Iterator[Signal]:
    """The model's last words were cut off, by length or by a filter."""
    for span in seen.trace.model_calls[-1:]:
        reasons = span.attributes.get("gen_ai.response.finish_reasons", "")
        for reason in sorted(_CUT & set(re.findall(r"\w+", reasons or _finish(span.output)))):
            yield signal("truncated", span.model or "model", f"ended for {reason}", span.span_id)


def false_success(seen: Transcript) -> Iterator[Signal]:
    """The agent says that it is done, and the last thing that it tried to change was refused."""
    writes = [(i, call) for i, call in seen.calls if act_of(call.name) == "write"]
    if not writes or not failed(writes[-1][1]):
        return
    place, call = writes[-1]
    for i, text in seen.said[-1:]:
        plain = text.lower()
        if i > place and _DONE.search(plain) and not REFUSES.search(plain):
            yield signal("false_success", call.name, f"said “{text}” after {call.result}", call.span_id)


def refusal(seen: Transcript) -> Iterator[Signal]:
    """The agent's last words turn the wish down."""
    for i, text in seen.said[-1:]:
        if found := REFUSES.search(text.lower()):
            yield signal("refusal", "answer", text[max(0, found.start() - 80) :], seen.steps[i].span_id)


def handover(seen: Transcript) -> Iterator[Signal]:
    """The agent handed the user over to a person."""
    for _, call in seen.calls:
        if act_of(call.name) == "handover":
            yield signal("handover", call.name, call.result, call.span_id)
            return


def _finish(output: str) -> str:
    if '"finish_reason"' not in output:
        return ""
    try:
        messages = json.loads(output)
    except (ValueError, RecursionError):
        return ""
    last = messages[-1] if isinstance(messages, list) and messages else {}
    return str(last.get("finish_reason") or "") if isinstance(last, dict) else ""
