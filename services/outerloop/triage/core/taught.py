"""Taught: what came of an agent's labels: calibrated scores, a threshold, and how far both can be trusted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from outerloop.triage.core.features import Seen, signs_in
from outerloop.triage.core.learned import (
    FOLDS,
    Ensemble,
    Floats,
    Ints,
    Scale,
    folds_of,
    left_out,
    sample_of,
)
from outerloop.triage.core.measuring import LEAST_CALLED, LEAST_OF_EACH, NOTHING, Measured
from outerloop.triage.core.peers import NAMES
from outerloop.triage.core.prior import UNDECIDED, prior
from outerloop.triage.core.signals import RULE_KINDS

# A trace is called a failure when, of left-out ones with a score like its own or higher, so many were.
PRECISION = 0.9
# A rule that was wrong so often on this agent decides nothing there any more.
_RULE_LABELS, _RULE_PRECISION = 5, 0.6
_PRIOR_WEIGHT = 0.5
_NEVER = 1.01
_HALF = 0.5
Bools = NDArray[np.bool_]
_SURE = 0.001
_WISH = 12  # words of the first message


@dataclass(frozen=True, slots=True)
class Example:
    """A run of which it is known what it was, and by whom: person, review or evaluator."""

    run: Seen
    failed: bool
    source: str = "person"

    @property
    def by_people(self) -> bool:
        """Whether a person has said so."""
        return self.source != "evaluator"


@dataclass(frozen=True)
class Taught:
    """`deciding`: the rules that decide; `threshold`: the score from which on a trace is called a failure.

    `called`: its calls on labelled traces, each by what others taught, and how they were `measured`; `rules`:
    all rules' calls on the same.
    """

    deciding: frozenset[str] = RULE_KINDS
    threshold: float = _NEVER
    called: Mapping[str, bool] = field(default_factory=dict[str, bool], repr=False)
    measured: Measured = NOTHING
    rules: Measured = NOTHING
    certain: float = UNDECIDED
    names: tuple[str, ...] = ()
    ensemble: Ensemble | None = None
    scale: Scale | None = field(default=None, repr=False)

    @property
    def ready(self) -> bool:
        """Whether there were labels enough."""
        return self.ensemble is not None

    @property
    def changes_verdicts(self) -> bool:
        """Whether what was learned makes failures of other traces than all rules do."""
        return self.ready or self.deciding != RULE_KINDS

    @classmethod
    def of(cls, examples: Sequence[Example], compared: Callable[[Sequence[Seen]], Floats]) -> "Taught":
        """What these examples teach; `compared` says how runs differ from their peers."""
        ordered = sorted(examples, key=lambda e: e.run.trace_id)
        deciding = _deciding(ordered)
        bad = np.array([e.failed for e in ordered], dtype=np.int64)
        runs = [e.run for e in ordered]
        rules = _calls_of(ordered, RULE_KINDS)
        folds = folds_of(bad, [_wish(run) for run in runs])
        if min(bad.sum(), len(bad) - bad.sum()) < LEAST_OF_EACH:
            calls = _nested(ordered, None, folds)
            return cls(deciding, _NEVER, _by_trace(runs, calls), _measured(calls, bad), _measured(rules, bad))
        names = tuple(sorted({name for run in runs for name in run.figures}))
        peers = compared(runs)
        odds = _logit(priors_of(runs, peers, deciding))
        known = sample_of(runs, names, np.hstack([peers, odds]))
        held = left_out(known, bad, folds) + _PRIOR_WEIGHT * odds[:, 0]
        scale = Scale(held, bad)
        shares = scale.shares(held)
        threshold, calls = _threshold(shares, bad), _nested(ordered, shares, folds)
        return cls(
            deciding,
            threshold,
            _by_trace(runs, calls),
            _measured(calls, bad),
            _measured(rules, bad),
            min(threshold, float(np.quantile(shares, 0.8))),
            names,
            Ensemble(known, bad),
            scale,
        )

    def scores(self, runs: Sequence[Seen], peers: Floats, priors: Sequence[float]) -> Floats:
        """The score of each run: what was learned where it was, else what is thought before."""
        if not runs or self.ensemble is None or self.scale is None:
            return np.array(priors)
        odds = _logit(priors)
        taken = sample_of(runs, self.names, np.hstack([peers, odds]))
        found = self.ensemble.odds(taken) + _PRIOR_WEIGHT * odds[:, 0]
        return self.scale.shares(found)


def priors_of(runs: Sequence[Seen], peers: Floats, deciding: frozenset[str]) -> list[float]:
    """What is thought of each run before anything is learned; `peers` as Peers.compared gives them."""
    return [
        prior(signs_in(run), dict(zip(NAMES, row, strict=True)), deciding)
        for run, row in zip(runs, peers, strict=True)
    ]


def _logit(shares: Sequence[float]) -> Floats:
    inside = np.clip(np.asarray(shares, dtype=np.float64), _SURE, 1 - _SURE)
    return np.log(inside / (1 - inside)).reshape(-1, 1)


def _deciding(examples: Sequence[Example]) -> frozenset[str]:
    """The rules that decide, less those that the labels say are wrong too often here."""
    right: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for example in examples:
        for kind in signs_in(example.run).keys() & RULE_KINDS:
            seen[kind] += 1
            right[kind] += example.failed
    return frozenset(
        kind
        for kind in RULE_KINDS
        if seen[kind] < _RULE_LABELS or right[kind] >= _RULE_PRECISION * seen[kind]
    )


def _threshold(shares: Floats, bad: Ints) -> float:
    """The lowest score from which on PRECISION of the runs were bad; _NEVER where there is none.

    Never below a half: many sure ones above it would make failures of what is probably none.
    """
    order = np.argsort(-shares, kind="stable")
    right = np.cumsum(bad[order]) / np.arange(1, len(bad) + 1)
    good = np.flatnonzero(right[LEAST_CALLED - 1 :] >= PRECISION)
    return max(_HALF, float(shares[order[int(good[-1]) + LEAST_CALLED - 1]])) if good.size else _NEVER


def _nested(examples: Sequence[Example], shares: Floats | None, folds: Ints) -> Bools:
    """Which would be called failures, where each fold's rules and threshold come from the others alone.

    `shares` are scores of left-out traces, None: rules alone decide. A threshold that was chosen on the
    traces that it is measured on would look better than it is.
    """
    bad = np.array([e.failed for e in examples], dtype=np.int64)
    called = np.zeros(len(examples), dtype=np.bool_)
    for fold in range(FOLDS):
        test, rest = folds == fold, folds != fold
        deciding = _deciding(list(compress(examples, rest)))
        called[test] = _calls_of(list(compress(examples, test)), deciding)
        if shares is not None:
            called[test] |= shares[test] >= _threshold(shares[rest], bad[rest])
    return called


def _calls_of(examples: Sequence[Example], deciding: frozenset[str]) -> Bools:
    return np.array([bool(signs_in(e.run).keys() & deciding) for e in examples], dtype=np.bool_)


def _by_trace(runs: Sequence[Seen], calls: Bools) -> dict[str, bool]:
    return {run.trace_id: bool(called) for run, called in zip(runs, calls, strict=True)}


def _measured(called: Bools, bad: Ints) -> Measured:
    return Measured.of(zip(called.tolist(), bad.astype(bool).tolist(), strict=True))


def _wish(run: Seen) -> str:
    """What runs on one wish share: they are left out together, or a model would be tested on what it saw."""
    return ",".join(map(str, sorted(set(run.wish[:_WISH]))))
