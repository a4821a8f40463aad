"""Peers: other runs of the agent on like wishes. What a run does otherwise than its peers is worth a look.

No label is needed for that: an agent that mostly does right agrees with itself, and fails each time in
another way (self-consistency, Wang et al. 2022). The fewer like wishes there are, the less it says.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from outerloop.triage.core.features import BUCKETS, Seen

NAMES = (
    "peers.alike",
    "peers.best",
    "peers.tools",
    "peers.missing",
    "peers.extra",
    "peers.extra.mean",
    "peers.writes",
    "peers.wrote",
    "peers.only_talked",
    "peers.steps",
    "peers.failed",
    "peers.nearest",
    "peers.near",
)
MOST = 8
# Words that more than half of the runs have say nothing about the wish; those of one run neither.
_COMMON = 0.5
_LEAST = 2
Floats = NDArray[np.float64]


class Peers:
    """The runs that others are compared with."""

    def __init__(self, known: Sequence[Seen]) -> None:
        self._known = list(known)
        counts = _counts([seen.wish for seen in self._known])
        in_runs = np.bincount(counts.indices, minlength=BUCKETS) if self._known else np.zeros(BUCKETS)
        n = max(1, len(self._known))
        telling = (in_runs >= _LEAST) & (in_runs <= max(_LEAST, _COMMON * n))
        self._weights: Floats = np.where(telling, np.log((1 + n) / (1 + in_runs)) + 1, 0.0)
        self._words = self._vectors(counts)
        self._sessions = np.array([seen.session_id or seen.trace_id for seen in self._known])

    def compared(self, runs: Sequence[Seen]) -> Floats:
        """One row a run, of NAMES: how it differs from its MOST nearest peers; zeros when it has none."""
        rows = np.zeros((len(runs), len(NAMES)))
        if len(self._known) <= 1 or not runs:
            return rows
        near = (self._vectors(_counts([run.wish for run in runs])) @ self._words.T).toarray()
        for at, run in enumerate(runs):
            near[at, self._sessions == (run.session_id or run.trace_id)] = -1
            order = np.argsort(-near[at], kind="stable")[:MOST]
            order = order[near[at, order] > 0]
            if order.size:
                rows[at] = self._row(run, order, near[at, order])
        return rows

    def _row(self, run: Seen, order: NDArray[np.intp], near: Floats) -> list[float]:
        peers = [self._known[i] for i in order]
        share = near**2 / (near**2).sum()
        effects: Counter[int] = Counter()
        for peer, weight in zip(peers, share, strict=True):
            effects.update(dict.fromkeys(peer.effects, float(weight)))
        extra = sum(1 - effects[e] for e in run.effects)
        alike = np.array([_jaccard(run.effects, peer.effects) for peer in peers])
        wrote = share @ np.array([bool(peer.tools) for peer in peers])

        def beside(name: str) -> float:
            mean = share @ np.array([peer.figures.get(name, 0.0) for peer in peers])
            return float(run.figures.get(name, 0.0) - mean)

        return [
            float(share @ alike),
            float(alike.max()),
            float(share @ np.array([_jaccard(frozenset(run.tools), frozenset(p.tools)) for p in peers])),
            sum(w for e, w in effects.items() if w > _COMMON and e not in run.effects),
            float(np.log1p(extra)),
            extra / max(1, len(run.effects)),
            len(run.tools) - float(share @ np.array([len(peer.tools) for peer in peers])),
            float(wrote),
            float(wrote > _COMMON and not run.tools),
            beside("steps"),
            beside("calls.failed"),
            float(near.max()),
            float(near.mean()),
        ]

    def _vectors(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        found = counts.copy()
        found.data = (1 + np.log(found.data)) * self._weights[found.indices]
        length = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        return sparse.diags(1 / np.where(length > 0, length, 1)) @ found


def _counts(words: Sequence[Sequence[int]]) -> sparse.csr_matrix:
    counted = [Counter(row) for row in words]
    ends = np.cumsum([0, *(len(row) for row in counted)])
    columns = np.fromiter((w for row in counted for w in row), dtype=np.int64)
    data = np.fromiter((n for row in counted for n in row.values()), dtype=np.float64)
    return sparse.csr_matrix((data, columns, ends), shape=(len(words), BUCKETS))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0
