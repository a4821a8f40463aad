"""What the model is told of a failure: evidence in, one Markdown message out. Pure.

All that comes from a trace, and all that a model wrote, goes through `quote`: it is data wherever it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from outerloop.evals.model import Eval
from outerloop.trace import quote
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal

_LINE_CHARS = 300
_ITEM_CHARS = 800
_DIAGNOSIS_CHARS = 1_500
_DIFF_CHARS = 6_000
_MOST_SIGNALS = 20
_MOST_EXPECTATIONS = 40
_MOST_FILES = 200
_MOST_ATTEMPTS = 8
_MOST_FAILED_EVALS = 6
_MOST_REASONS = 5


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
    the mutable paths with their sizes in bytes; `attempts` come in the order in which they were made. A
    trace is None when none is known (any more).
    """

    title: str
    signals: tuple[Signal, ...]
    eval: Eval
    expectations: tuple[str, ...]
    failing: Trace | None
    healthy: Trace | None
    files: Mapping[str, int]
    attempts: tuple[Attempt, ...] = ()


def message(evidence: Evidence, template: str) -> str:
    """The first user message; `template` is prompts/task.md."""
    return Template(template).substitute(
        agent=quote.one_line(evidence.eval.agent, _LINE_CHARS),
        bar=f"{evidence.eval.bar:.0%}",
        title=quote.title(evidence.title, _LINE_CHARS),
        signals=_list([_signal(signal) for signal in evidence.signals], _MOST_SIGNALS),
        expectations=_list(list(evidence.expectations), _MOST_EXPECTATIONS),
        failing=quote.run(evidence.failing) if evidence.failing else "none kept",
        healthy=quote.run(evidence.healthy) if evidence.healthy else "none known",
        files=_list([f"{path} ({size} bytes)" for path, size in sorted(evidence.files.items())], _MOST_FILES),
        attempts="\n\n".join(map(_attempt, evidence.attempts[-_MOST_ATTEMPTS:])) or "none",
    )


def _signal(signal: Signal) -> str:
    return f"{signal.kind} {signal.subject}: {signal.detail}"


def _attempt(attempt: Attempt) -> str:
    if not attempt.patch:
        why = quote.one_line(attempt.reason, _ITEM_CHARS)
        return f"### Attempt {attempt.number}: no change\n\nwhy: {why}"
    failed = [_failed(eval_) for eval_ in attempt.failed]
    return "\n\n".join(
        [
            f"### Attempt {attempt.number}: {'shipped, and did not hold' if attempt.undone else 'rejected'}",
            f"diagnosis: {quote.one_line(attempt.diagnosis, _DIAGNOSIS_CHARS)}",
            quote.fenced(attempt.patch, "diff", _DIFF_CHARS),
            *([f"production: {quote.one_line(attempt.undone, _ITEM_CHARS)}"] if attempt.undone else []),
            f"gate: {quote.one_line(attempt.reason, _ITEM_CHARS)}"
            + ("\n" + _list(failed, _MOST_FAILED_EVALS) if failed else ""),
        ]
    )


def _failed(eval_: FailedEval) -> str:
    reasons = "; ".join(quote.clip(reason, _LINE_CHARS) for reason in eval_.reasons[:_MOST_REASONS])
    title = quote.clip(eval_.title, _LINE_CHARS)
    return f'eval "{title}" passed {eval_.passed} of {eval_.trials} trials: {reasons}'


def _list(items: list[str], most: int) -> str:
    """Each item on a line of its own; of too many the first."""
    lines = [f"- {quote.one_line(item, _ITEM_CHARS)}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"- … ({len(items) - most} more left out)")
    return "\n".join(lines) or "none"
