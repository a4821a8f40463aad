"""Hostile text made harmless to quote. Pure.

Whatever came from a trace, from production or from a model is put into a prompt through one of these: it
cannot end its quoting, begin a section, hide from a reader, or grow without limit.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from outerloop.trace.model import Trace

RUN_CHARS = 12_000
_TEXT_CHARS = (2_000, 400)
_MOST_BRACKETS = 50
# Line and paragraph separators, controls, invisible and bidirectional marks, unpaired surrogates.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""`text` with markup and all that a reader would not see as JSON escapes: `<` is \u003c."""
    return "".join(_escape(c) if c in "<>&" or unicodedata.category(c) in _UNSEEN else c for c in text)


def one_line(text: str, most: int) -> str:
    """`text` as (a part of) one line of about `most` characters at most."""
    # Clipped again because an escape is longer than its character.
    return clip(visible(clip(" ".join(text.split()), most)), 2 * most)


def title(text: str, most: int) -> str:
    """`text` as a line of its own, which Markdown reads as words and not as a heading, list or fence."""
    return one_line(text, most).lstrip("#>-+*=~|_` ") or "(no title)"


def clip(text: str, most: int) -> str:
    """The first `most` characters, with a word of how many were left out."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]}… [{left_out} characters left out]"


def fenced(text: str, language: str, most: int) -> str:
    """`text` in a code fence that is longer than any in it; lines and markup stay, unseen characters show."""
    text = "".join(_escape(c) if c not in "\n\t" and unicodedata.category(c) in _UNSEEN else c for c in text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{clip(text, most).rstrip()}\n{fence}"


def run(trace: Trace, most: int = RUN_CHARS) -> str:
    """A recorded run as data: JSON lines between `<data provenance="trace ID">` and `</data>`.

    The lines, in order: {"request"}, then for each step {"tool", "arguments", "result", "failed"} or
    {"model"} (what the model said between calls), then {"error"} if the run ended in one, then {"answer"}.
    At most `most` characters; after the quoting comes a sentence on what was left out.
    """
    return _quoted(f"trace {trace.trace_id}", lambda chars: _lines(trace, chars), most, _TEXT_CHARS)


def recorded(
    provenance: str,
    records: Sequence[Mapping[str, object]],
    most: int,
    text_chars: tuple[int, ...] = _TEXT_CHARS,
) -> str:
    """Records as data: a JSON line each between `<data provenance="…">` and `</data>`, as in `run`.

    Texts in them are cut to the first of `text_chars` with which all fits, else to the last of them.
    """

    def lines(chars: int) -> list[str]:
        cut = ({k: clip(v, chars) if isinstance(v, str) else v for k, v in r.items()} for r in records)
        return [visible(json.dumps(record, ensure_ascii=False)) for record in cut]

    return _quoted(provenance, lines, most, text_chars)


def _quoted(
    provenance: str, lines_of: Callable[[int], list[str]], most: int, text_chars: tuple[int, ...]
) -> str:
    for chars in text_chars:
        lines = lines_of(chars)
        if sum(map(len, lines)) + len(lines) <= most:
            break
    kept = _middle_out(lines, most)
    notes = [f"texts longer than {chars} characters are cut"] if any("left out]" in k for k in kept) else []
    if len(kept) < len(lines):
        notes.insert(0, f"{len(lines) - len(kept)} of {len(lines)} lines, from the middle")
    identifier = re.sub(r"[^0-9A-Za-z_ -]", "", provenance)[:70]
    quoted = "\n".join([f'<data provenance="{identifier}">', *kept, "</data>"])
    return f"{quoted}\n\nLeft out: {'; '.join(notes)}." if notes else quoted


def page(trace: Trace, start: int, most: int = RUN_CHARS) -> str:
    """A recorded run from its line `start` on (counted from 1), quoted as `run` does; says how to go on.

    As many lines as fit into `most` characters, but one at least; "" if it has fewer lines.
    """
    lines = _lines(trace, _TEXT_CHARS[0])
    kept: list[str] = []
    for line in lines[start - 1 :]:
        most -= len(line) + 1
        if most < 0 and kept:
            break
        kept.append(line)
    if not kept:
        return ""
    identifier = re.sub(r"[^0-9A-Za-z_-]", "", trace.trace_id)[:64]
    quoted = "\n".join([f'<data provenance="trace {identifier}">', *kept, "</data>"])
    left = len(lines) - (start - 1) - len(kept)
    return f"{quoted}\n\n{left} more lines: start_line {start + len(kept)} goes on." if left else quoted


def _lines(trace: Trace, chars: int) -> list[str]:
    steps: list[dict[str, object]] = [{"request": clip(trace.request, chars)}]
    model_calls = {span.span_id for span in trace.model_calls}
    for span in trace.spans:
        if span.operation == "execute_tool":
            arguments, result = _value(span.arguments, chars), _value(span.result, chars)
            step = {"tool": clip(span.tool, chars), "arguments": arguments, "result": result}
            steps.append({**step, "failed": span.failed})
        elif span.span_id in model_calls:
            # A trace of one span: its answer is what that call to the model gave.
            said = Trace(trace.trace_id, (span,)).answer
            if said and said != trace.answer:
                steps.append({"model": clip(said, chars)})
    if trace.root.failed:
        root = trace.root
        steps.append({"error": clip(f"{root.error_type} {root.status_message}".strip() or "Error", chars)})
    steps.append({"answer": clip(trace.answer, chars)})
    return [visible(json.dumps(step, ensure_ascii=False)) for step in steps]


def _value(text: str, chars: int) -> object:
    """The JSON value that `text` is, so that it is not escaped twice; else the text, clipped."""
    # Each level of nesting has a bracket: few brackets cannot exhaust the parser's stack.
    if len(text) > chars or text.count("[") + text.count("{") > _MOST_BRACKETS:
        return clip(text, chars)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _middle_out(lines: list[str], most: int) -> list[str]:
    """As many lines as fit, from both ends alternately: how a run began and how it ended say most."""
    head: list[str] = []
    tail: list[str] = []
    for turn in range(len(lines)):
        line = lines[len(head)] if turn % 2 == 0 else lines[-1 - len(tail)]
        most -= len(line) + 1
        if most < 0:
            break
        (head if turn % 2 == 0 else tail).append(line)
    return head + tail[::-1]


def _escape(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:  # noqa: PLR2004 - beyond it JSON writes a pair of surrogates
        return json.dumps(character)[1:-1]
    return f"\\u{code:04x}"
