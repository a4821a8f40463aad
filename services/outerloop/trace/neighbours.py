"""Neighbours: runs on a request like another run's."""

import re
from collections.abc import Sequence

from outerloop.trace.model import Trace

_WORD = re.compile(r"[^\W\d_]{2,}")
MOST = 5
# Below this share of common words two requests ask for different things.
ALIKE = 0.25
# Of a longer request only the beginning is compared: what is wished for stands there, and a pasted document
# behind it would cost time and drown the wish.
CHARACTERS = 2000


class Crowd:
    """Runs among which neighbours are looked for again and again: their words are found once."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._known = [(_words(trace), trace) for trace in traces]

    def like(self, of: Trace) -> list[Trace]:
        """Every run whose request is like that of `of`, the most alike first, itself left out.

        Likeness is Jaccard's: common words over all words, without numbers and ids, which name the case
        and not the wish.
        """
        wish = _words(of)
        scored = [(_likeness(wish, words), trace) for words, trace in self._known]
        alike = [(s, trace) for s, trace in scored if s >= ALIKE and trace.trace_id != of.trace_id]
        alike.sort(key=lambda pair: (-pair[0], pair[1].trace_id))
        return [trace for _, trace in alike]


def neighbours(of: Trace, among: Sequence[Trace], *, most: int = MOST) -> list[Trace]:
    """Up to `most` runs whose request is most like that of `of`; see Crowd.like."""
    return Crowd(among).like(of)[:most]


def always_called(traces: Sequence[Trace]) -> list[str]:
    """Tools that every one of these runs called with success, in the order of the first run."""
    if not traces:
        return []
    each = [{c.name for c in t.tool_calls if not c.failed} for t in traces]
    common = set.intersection(*each)
    return list(dict.fromkeys(c.name for c in traces[0].tool_calls if c.name in common))


def _words(trace: Trace) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(trace.request[:CHARACTERS]))


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common) if common else 0.0
