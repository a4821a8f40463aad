"""Two detectors on the same traces: what would change if one replaced the other. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outerloop.triage.core.measuring import Measured

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Call:
    """What a detector makes of a trace, and whether it does so `alone`, before any evaluator is asked.

    What follows is "" where it is no failure.
    """

    trace_id: str
    score: float
    alone: bool
    mode_id: str = ""
    title: str = ""
    span_id: str = ""
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether it calls it a failure."""
        return bool(self.mode_id)


@dataclass(frozen=True, slots=True)
class Side:
    """One detector; `left_out`: its calls on traces that it has learned from, when they were left out."""

    detector: str
    calls: Sequence[Call]
    left_out: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Standing:
    """A detector on these traces: failures, and against the labels of those that have one."""

    detector: str
    failures: int
    measured: Measured


@dataclass(frozen=True, slots=True)
class Difference:
    """A trace that only one of them calls a failure; `bad`: what is held to be true of it, None: nothing."""

    trace_id: str
    title: str
    span_id: str
    detail: str
    score_before: float
    score_after: float
    bad: bool | None


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode under one detector or both, with its failures under each."""

    mode_id: str
    title: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it. Agreement, in traces: `both` call it a failure, `neither`, or only the one or the other.

    `moved`: failures under both, in another mode. Examples are the traces that the two are most apart on.
    """

    traces: int
    before: Standing
    after: Standing
    both: int
    neither: int
    only_before: int
    only_after: int
    moved: int
    modes: tuple[Mode, ...]
    examples_only_before: tuple[Difference, ...]
    examples_only_after: tuple[Difference, ...]


def compare(before: Side, after: Side, bad: Mapping[str, bool]) -> Comparison:
    """Compare two detectors' calls on the same traces; `bad`: what is held to be true of some of them."""
    new = {call.trace_id: call for call in after.calls}
    pairs = [(call, new[call.trace_id]) for call in before.calls if call.trace_id in new]
    lost = [(b, a) for b, a in pairs if b.failed and not a.failed]
    gained = [(b, a) for b, a in pairs if a.failed and not b.failed]
    both = [(b, a) for b, a in pairs if a.failed and b.failed]
    return Comparison(
        traces=len(pairs),
        before=_standing(before, bad),
        after=_standing(after, bad),
        both=len(both),
        neither=len(pairs) - len(both) - len(lost) - len(gained),
        only_before=len(lost),
        only_after=len(gained),
        moved=sum(a.mode_id != b.mode_id for b, a in both),
        modes=tuple(_modes(before.calls, after.calls)),
        examples_only_before=_examples(lost, bad),
        examples_only_after=_examples(gained, bad),
    )


def _standing(side: Side, bad: Mapping[str, bool]) -> Standing:
    # What an evaluator says may be the label itself: that the detector hears of it is no merit of its own.
    known = [
        (side.left_out.get(c.trace_id, c.alone), bad[c.trace_id]) for c in side.calls if c.trace_id in bad
    ]
    return Standing(side.detector, sum(call.failed for call in side.calls), Measured.of(known))


def _modes(before: Sequence[Call], after: Sequence[Call]) -> list[Mode]:
    old, new = (Counter(call.mode_id for call in calls if call.failed) for calls in (before, after))
    titles = {call.mode_id: call.title for call in (*before, *after) if call.failed}
    found = [Mode(mode_id, title, old[mode_id], new[mode_id]) for mode_id, title in titles.items()]
    return sorted(found, key=lambda m: (-abs(m.after - m.before), m.mode_id))


def _examples(pairs: Sequence[tuple[Call, Call]], bad: Mapping[str, bool]) -> tuple[Difference, ...]:
    ordered = sorted(pairs, key=lambda pair: (-abs(pair[0].score - pair[1].score), pair[0].trace_id))
    return tuple(
        Difference(
            b.trace_id,
            a.title or b.title,
            a.span_id or b.span_id,
            a.detail or b.detail,
            round(b.score, 4),
            round(a.score, 4),
            bad.get(b.trace_id),
        )
        for b, a in ordered[:EXAMPLES]
    )
