"""What an agent's labels teach: a few simple models that look at a trace each in its own way, and agree.

Few labels and many features: so every model is held short (shrunken weights, shallow trees), their log odds
are averaged, and what came of it on traces that were left out calibrates the average and says how far it can
be trusted (Platt 1999; stacking by a fixed mean needs no labels of its own).

scikit-learn is imported where something is taught: it takes a second, which no command should wait for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from outerloop.triage.core.features import BUCKETS, Seen

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 5
# A word that fewer of the labelled traces have teaches nothing.
_LEAST = 3
_FAR = 3.0
_SURE = 0.01
_TREES_FROM = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """Traces as a model takes them: a row each of figures, and of two bags of words."""

    figures: Floats
    said: sparse.csr_matrix
    closing: sparse.csr_matrix

    def rows(self, which: Ints) -> "Sample":
        """Some of them."""
        return Sample(self.figures[which], self.said[which], self.closing[which])


def sample_of(runs: Sequence[Seen], names: Sequence[str], beside: Floats) -> Sample:
    """Traces with the figures of these names, and more columns `beside` them."""
    figures = np.array([[run.figures.get(name, 0.0) for name in names] for run in runs]).reshape(
        len(runs), -1
    )
    said, closing = ([run.said for run in runs], [run.closing for run in runs])
    return Sample(np.hstack([figures, beside]), _bags(said), _bags(closing))


class Ensemble:
    """The models, taught."""

    def __init__(self, known: Sample, bad: Ints) -> None:
        from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415 - see the module
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

        self._scale = StandardScaler().fit(known.figures)
        self._line = LogisticRegression(C=0.02, max_iter=1000).fit(self._scaled(known), bad)
        self._words = [_Words(bags, bad) for bags in (known.said, known.closing)]
        self._trees = None
        if len(bad) >= _TREES_FROM:
            self._trees = GradientBoostingClassifier(
                n_estimators=80,
                max_depth=3,
                learning_rate=0.05,
                subsample=0.6,
                max_features=0.3,
                min_samples_leaf=5,
                random_state=0,
            ).fit(known.figures, bad)

    def odds(self, runs: Sample) -> Floats:
        """Mean log odds of being bad, a number a trace; not calibrated."""
        each = [self._line.decision_function(self._scaled(runs))]
        each += [words.odds(bags) for words, bags in zip(self._words, (runs.said, runs.closing), strict=True)]
        if self._trees is not None:
            each += [_logit(self._trees.predict_proba(runs.figures)[:, 1])] * 2
        return np.asarray(np.mean(each, axis=0))

    def _scaled(self, runs: Sample) -> Floats:
        return np.asarray(np.clip(self._scale.transform(runs.figures), -_FAR, _FAR))


class _Words:
    """Logistic regression over weighted words (tf-idf)."""

    def __init__(self, bags: sparse.csr_matrix, bad: Ints) -> None:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - see the module

        in_runs = np.bincount(bags.indices, minlength=BUCKETS)
        self._kept = np.flatnonzero(in_runs >= _LEAST)
        self._weights = np.log((1 + len(bad)) / (1 + in_runs[self._kept])) + 1
        self._model = None
        if self._kept.size:
            self._model = LogisticRegression(C=3.0, max_iter=1000).fit(self._vectors(bags), bad)

    def odds(self, bags: sparse.csr_matrix) -> Floats:
        if self._model is None:
            return np.zeros(bags.shape[0])
        found: Floats = self._model.decision_function(self._vectors(bags))
        return found

    def _vectors(self, bags: sparse.csr_matrix) -> sparse.csr_matrix:
        found = bags[:, self._kept].tocsr()
        found.data = 1 + np.log(found.data)
        found = found @ sparse.diags(self._weights)
        length = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        return sparse.diags(1 / np.where(length > 0, length, 1)) @ found


class Scale:
    """Odds as probabilities, by what came of them on traces that were left out."""

    def __init__(self, odds: Floats, bad: Ints) -> None:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - see the module

        self._model = LogisticRegression(C=1.0).fit(odds.reshape(-1, 1), bad)

    def shares(self, odds: Floats) -> Floats:
        """The probability of each trace to be bad."""
        return np.asarray(self._model.predict_proba(odds.reshape(-1, 1))[:, 1])


def left_out(known: Sample, bad: Ints, folds: Ints) -> Floats:
    """The odds of each known trace by an ensemble that saw nothing of its fold."""
    odds = np.zeros(len(bad))
    for fold in range(FOLDS):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if test.size and 0 < bad[train].sum() < train.size:
            odds[test] = Ensemble(known.rows(train), bad[train]).odds(known.rows(test))
    return odds


def folds_of(bad: Ints, groups: Sequence[str]) -> Ints:
    """A fold for each trace; a group stays together, and folds have about as many bad ones each."""
    sizes: Counter[str] = Counter()
    worst: Counter[str] = Counter()
    for group, is_bad in zip(groups, bad, strict=True):
        sizes[group] += 1
        worst[group] += int(is_bad)
    ordered = sorted(sizes, key=lambda g: (-sizes[g], -worst[g], g))
    place = {group: n for n, group in enumerate(ordered)}
    return np.array([place[g] % FOLDS for g in groups])


def _bags(rows: Sequence[Sequence[int]]) -> sparse.csr_matrix:
    counted = [Counter(row) for row in rows]
    ends = np.cumsum([0, *(len(row) for row in counted)])
    columns = np.fromiter((w for row in counted for w in row), dtype=np.int64)
    data = np.fromiter((n for row in counted for n in row.values()), dtype=np.float64)
    return sparse.csr_matrix((data, columns, ends), shape=(len(rows), BUCKETS))


def _logit(share: Floats) -> Floats:
    inside = np.clip(share, _SURE, 1 - _SURE)
    return np.asarray(np.log(inside / (1 - inside)))
