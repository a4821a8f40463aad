"""Which traces a person should label next: those that the detector is unsure of, and that differ. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.triage.core.features import Seen, signs_in

# Also of what it is sure of a little is asked: a detector does not know what it has never seen.
_LEAST_DOUBT = 0.1
_WISH = 60  # words of what was wished


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trace without a label: what is kept of it, and how bad it looks (0 to 1)."""

    run: Seen
    score: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A trace to ask about; `doubt` from 0 to 1; `likeness` to the nearest of those asked about before it."""

    trace_id: str
    doubt: float
    likeness: float


def most_teaching(candidates: Sequence[Candidate], count: int) -> list[Asked]:
    """`count` traces: one after the other the least sure and the least like those before it."""
    features = {c.run.trace_id: _features(c.run) for c in candidates}
    doubts = {c.run.trace_id: doubt(c.score) for c in candidates}
    nearest = dict.fromkeys(features, 0.0)
    chosen: list[Asked] = []
    while nearest and len(chosen) < count:
        best = max(nearest, key=lambda i: (doubts[i] * (1 - nearest[i]), i))
        chosen.append(Asked(best, doubts[best], nearest.pop(best)))
        for trace_id, near in nearest.items():
            nearest[trace_id] = max(near, _likeness(features[trace_id], features[best]))
    return chosen


def doubt(score: float) -> float:
    """How unsure a score is: 1 at a half, _LEAST_DOUBT where it is sure."""
    return max(_LEAST_DOUBT, 1 - abs(2 * score - 1))


def _features(run: Seen) -> frozenset[tuple[str, object]]:
    """What was wished, what was changed, and what looks odd: two that share these teach the same."""
    return frozenset(
        [
            *(("wish", word) for word in run.wish[:_WISH]),
            *(("tool", tool) for tool in run.tools),
            *(("sign", kind) for kind in signs_in(run)),
        ]
    )


def _likeness(one: frozenset[object], other: frozenset[object]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common) if common else 0.0
