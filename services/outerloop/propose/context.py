"""What the model is told of a failure: evidence in, one Markdown message out. Pure.

All that comes from a trace, and all that a model wrote, goes through `quote`: it is data wherever it stands.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template

from outerloop.evals.model import Eval
from outerloop.propose.parting import parting
from outerloop.trace import quote
from outerloop.trace.model import ToolCall, Trace
from outerloop.trace.signal import Signal

_LINE_CHARS = 300
ITEM_CHARS = 800
_DIAGNOSIS_CHARS = 1_500
_DIFF_CHARS = 6_000
_MOST_FAILED_EVALS = 6
_MOST_REASONS = 5
_CHARS_PER_TOKEN = 4
# What each part may take, in tokens. What does not fit is counted, and can be asked for by its name.
BUDGET = {
    "signals": 800,
    "expectations": 1_000,
    "failing run": 2_000,
    "healthy run": 1_500,
    "runs": 300,
    "lessons": 1_200,
    "files": 1_200,
    "attempts": 3_000,
}


@dataclass(frozen=True, slots=True)
class FailedEval:
    """An eval that a rejected change did not pass; `reasons` are the grader's, each once."""

    title: str
    passed: int
    trials: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier attempt at this eval, and why nothing shipped: of the gate, or of the session.

    `patch` is "" if the session brought none. `undone`: it shipped, and why that was not the end of it.
    """

    number: int
    diagnosis: str
    patch: str
    reason: str
    failed: tuple[FailedEval, ...] = ()
    undone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a proposer may know.

    `expectations` are the eval's, each as `grade.describe` says it (the end of "the agent …"); `files` are
    the mutable paths with their sizes in bytes, and `about` what their first lines say; `attempts` come in
    the order in which they were made, `lessons` the most telling first. `others` are further runs by what
    they are ("failing", "healthy"). A trace is None when none is known (any more). `approach` is our own
    text: where to begin.
    """

    title: str
    signals: tuple[Signal, ...]
    eval: Eval
    expectations: tuple[str, ...]
    failing: Trace | None
    healthy: Trace | None
    files: Mapping[str, int]
    attempts: tuple[Attempt, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict[str, str])
    lessons: tuple[str, ...] = ()
    others: tuple[tuple[str, Trace], ...] = ()
    approach: str = ""

    @property
    def runs(self) -> dict[str, Trace]:
        """Every run by its trace's id."""
        known = (self.failing, self.healthy, *(trace for _, trace in self.others))
        return {trace.trace_id: trace for trace in known if trace}

    def parts(self) -> dict[str, list[str]]:
        """Each part that may be too long to be told whole, as Markdown items, the most telling first."""
        return {
            "signals": _items([f"{s.kind} {s.subject}: {s.detail}" for s in self.signals]),
            "expectations": _items(self.expectations),
            "lessons": _items(self.lessons),
            "files": _items([self._file(path, size) for path, size in sorted(self.files.items())]),
            "runs": _items([f"trace {_id(trace)} ({kind})" for kind, trace in self.others]),
            "attempts": [_attempt(attempt) for attempt in reversed(self.attempts)],
        }

    def _file(self, path: str, size: int) -> str:
        about = self.about.get(path, "")
        return f"{path} ({size} bytes){f': {quote.clip(about, 80)}' if about else ''}"


def message(evidence: Evidence, template: str) -> str:
    """The first user message; `template` is prompts/task.md. What is the same for all modes comes first."""
    parts = {
        name: fitting(items, BUDGET[name] * _CHARS_PER_TOKEN) for name, items in evidence.parts().items()
    }
    left_out = [f"{left} {name}" for name, (_, left) in parts.items() if left]
    said = {name: "\n".join(items) or "none" for name, (items, _) in parts.items()}
    shown = parts["attempts"][0]
    said["attempts"] = "\n\n".join(reversed(shown)) or "none"
    return Template(template).substitute(
        said,
        agent=quote.one_line(evidence.eval.agent, _LINE_CHARS),
        bar=f"{evidence.eval.bar:.0%}",
        title=quote.title(evidence.title, _LINE_CHARS),
        failing=_run(evidence.failing, "failing run") or "none kept",
        healthy=_run(evidence.healthy, "healthy run") or "none known",
        parting=_parted(evidence.failing, evidence.healthy),
        approach=evidence.approach.strip() or "Yours to choose.",
        left_out=f"{', '.join(left_out)}: show_more tells them." if left_out else "nothing",
    )


def stable(text: str) -> tuple[str, str]:
    """A first message in two: what is the same for every mode of the agent, and the rest."""
    head, mark, rest = text.partition("\n## Failure mode\n")
    return (head, mark + rest) if mark else ("", text)


def _run(trace: Trace | None, part: str) -> str:
    return quote.run(trace, BUDGET[part] * _CHARS_PER_TOKEN) if trace else ""


def fitting(items: Sequence[str], room: int) -> tuple[list[str], int]:
    """As many items as fit into so many characters, but one at least; and how many are left out."""
    shown: list[str] = []
    for item in items:
        room -= len(item) + 1
        if room < 0 and shown:
            break
        shown.append(item)
    return shown, len(items) - len(shown)


def _parted(failing: Trace | None, healthy: Trace | None) -> str:
    if failing is None or healthy is None:
        return "not known: there are not two runs to compare"
    return parted(failing, healthy, "failing", "healthy")


def parted(one: Trace, other: Trace, first: str, second: str) -> str:
    """Where two runs begin to differ, in words; `first` and `second` are what to call them."""
    found = parting(one, other)
    if found.one is None and found.other is None:
        return f"Both make {found.common} tool calls, which are alike."
    span = f" (span {_hex(found.span_id)})" if found.span_id else ""
    return (
        f"Their first {found.common} tool calls are alike. Then the {first} run{span} {_next(found.one)};"
        f" the {second} one {_next(found.other)}."
    )


def _next(call: ToolCall | None) -> str:
    if call is None:
        return "makes no further call"
    how = "fails with" if call.failed else "gives"
    said = f"calls {call.name} with {dict(call.arguments)}, which {how} {call.result}"
    return quote.one_line(said, ITEM_CHARS)


def _id(trace: Trace) -> str:
    return _hex(trace.trace_id)


def _hex(identifier: str) -> str:
    return re.sub(r"[^0-9A-Za-z_-]", "", identifier)[:64]


def _attempt(attempt: Attempt) -> str:
    if not attempt.patch:
        why = quote.one_line(attempt.reason, ITEM_CHARS)
        return f"### Attempt {attempt.number}: no change\n\nwhy: {why}"
    failed = _items([_failed(eval_) for eval_ in attempt.failed[:_MOST_FAILED_EVALS]])
    return "\n\n".join(
        [
            f"### Attempt {attempt.number}: {'shipped, and did not hold' if attempt.undone else 'rejected'}",
            f"diagnosis: {quote.one_line(attempt.diagnosis, _DIAGNOSIS_CHARS)}",
            quote.fenced(attempt.patch, "diff", _DIFF_CHARS),
            *([f"production: {quote.one_line(attempt.undone, ITEM_CHARS)}"] if attempt.undone else []),
            "\n".join([f"gate: {quote.one_line(attempt.reason, ITEM_CHARS)}", *failed]),
        ]
    )


def _failed(eval_: FailedEval) -> str:
    reasons = "; ".join(quote.clip(reason, _LINE_CHARS) for reason in eval_.reasons[:_MOST_REASONS])
    title = quote.clip(eval_.title, _LINE_CHARS)
    return f'eval "{title}" passed {eval_.passed} of {eval_.trials} trials: {reasons}'


def _items(items: Sequence[str]) -> list[str]:
    """Each item on a line of its own."""
    return [f"- {quote.one_line(item, ITEM_CHARS)}" for item in items]
