"""Signs that a trace is bad: which there are, which of them decide alone, and in which order they are told.

A rule of high precision decides alone: it can be wrong only where the trace itself is. The others are hints:
they tell a person where to look and are what a detector learns from, and mean nothing by themselves, because
what is a bad sign in one agent is the normal way of another.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal
from outerloop.triage.core.signs import ending, injection, people, tools, truth
from outerloop.triage.core.signs.making import DETAIL_CHARACTERS, signal
from outerloop.triage.core.transcript import Transcript, transcript_of

__all__ = [
    "DETAIL_CHARACTERS",
    "DETECTOR",
    "RULES",
    "RULE_KINDS",
    "Signs",
    "said_of",
    "signals_of",
    "signs_of",
]

# Named in every verdict, so that two detectors can be told apart. Raise it with any change of a rule.
DETECTOR = "rules/2"
Sign = Callable[[Transcript], Iterator[Signal]]
# In the order in which they name a failure: what happened first, before what came of it.
RULES: tuple[Sign, ...] = (
    injection.injection_followed,
    tools.repeated_call,
    ending.false_success,
    tools.tool_error,
    ending.error_status,
    ending.truncated,
    ending.abrupt_end,
    ending.empty_answer,
)
RULE_KINDS = frozenset(rule.__name__ for rule in RULES)
HINTS: tuple[Sign, ...] = (
    tools.schema_violation,
    people.unconfirmed_write,
    truth.invented_argument,
    tools.error_streak,
    tools.loop,
    people.correction,
    injection.injection_seen,
    truth.invented_answer,
    tools.error_passed,
    tools.recovered_error,
    ending.handover,
    ending.refusal,
)


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs of a trace: of `rules` that decide alone, and `hints`, which decide nothing alone."""

    rules: tuple[Signal, ...]
    hints: tuple[Signal, ...]


def signals_of(trace: Trace, evaluations: Sequence[Evaluation]) -> tuple[Signal, ...]:
    """Every sign that decides alone, the most telling first. None: as far as rules can say, all is well."""
    found = signs_of(transcript_of(trace)).rules
    return (*found[:1], *said_of(evaluations), *found[1:])


def signs_of(seen: Transcript) -> Signs:
    """Every sign in a trace; the most telling first."""
    own = {span.span_id for span in seen.trace.spans}
    # What an earlier trace of the session did is that trace's failure.
    own -= {s.span_id for s in seen.steps if not s.own} - {s.span_id for s in seen.steps if s.own}
    return Signs(_found(RULES, seen, own), _found(HINTS, seen, own))


def said_of(evaluations: Sequence[Evaluation]) -> Iterator[Signal]:
    """Evaluators that call the trace bad."""
    for evaluation in evaluations:
        if evaluation.bad:
            detail = f"{evaluation.label or evaluation.score}: {evaluation.explanation}"
            yield signal("evaluation", evaluation.name or evaluation.source, detail, evaluation.span_id)


def _found(signs: Sequence[Sign], seen: Transcript, own: Container[str]) -> tuple[Signal, ...]:
    return tuple(s for sign in signs for s in sign(seen) if s.span_id in own)
