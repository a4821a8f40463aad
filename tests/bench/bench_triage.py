"""Triage on recorded traces of real agents: how well it tells failures, and whether modes are causes.

Every figure is of traces that the detector had no label of. Folds keep a task together. Beside it, in the
same run and the same folds, what one would do without it: words of the agent, logistic regression.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from outerloop.cli import data
from outerloop.trace.model import Trace
from outerloop.trace.otlp import decode_traces, spans_of
from outerloop.triage.core.detector import Detector
from outerloop.triage.core.features import Seen, read
from outerloop.triage.core.grouping import group_of
from outerloop.triage.core.taught import Example
from outerloop.triage.core.transcript import transcript_of

FOLDER = Path("../shared/traces")
AIRLINE = ("airline_tau2", "airline_tau_gpt4o")
OFFICE = ("workspace_agentdojo",)
FOLDS = 5
PASSES = 5
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pile:
    """Traces of one agent with their labels; `runs` as the detector keeps them."""

    traces: list[Trace]
    runs: list[Seen]
    labels: list[dict[str, Any]]

    @property
    def bad(self) -> Bools:
        return np.array([not label["success"] for label in self.labels])

    @property
    def tasks(self) -> list[str]:
        return [f"{label['dataset']}/{label['task_id']}" for label in self.labels]

    def some(self, which: Sequence[bool] | Bools) -> "Pile":
        """Some of them."""
        kept = (list(compress(self.traces, which)), list(compress(self.runs, which)))
        return Pile(*kept, list(compress(self.labels, which)))


def pile(folder: Path, names: Sequence[str]) -> Pile:
    """The traces of these files."""
    traces: list[Trace] = []
    labels: dict[str, dict[str, Any]] = {}
    for name in names:
        file = folder / f"{name}.otlp.pb.zst"
        traces += [Trace.of(spans_of(decode_traces(r))) for r in data.records(file, data.read(file))]
        for line in (folder / f"{name}.labels.jsonl").read_text("utf-8").splitlines():
            labels[json.loads(line)["trace_id"]] = json.loads(line)
    return Pile(traces, [read(trace).run for trace in traces], [labels[t.trace_id] for t in traces])


def detector(of: Pile, known: Sequence[int] = ()) -> Detector:
    """One that remembers all runs, and has the labels of those `known`."""
    made = Detector("bench")
    made.keep(of.runs)
    made.learn(Example(of.runs[i], bool(of.bad[i])) for i in known)
    return made


def crossed(of: Pile, seed: int) -> tuple[Floats, Bools, Floats]:
    """Scores and verdicts of the detector, and the baseline's scores, by what the other folds taught."""
    scores, failed, plain = np.zeros(len(of.runs)), np.zeros(len(of.runs), bool), np.zeros(len(of.runs))
    split = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    words = [" ".join(text for _, text in transcript_of(trace).said) for trace in of.traces]
    for train, test in split.split(of.bad, of.bad, of.tasks):
        found = detector(of, train).judge_all([of.traces[i] for i in test])
        scores[test], failed[test] = [j.score for j in found], [j.failed for j in found]
        bags = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2))
        taught = LogisticRegression(C=3, max_iter=1000).fit(
            bags.fit_transform([words[i] for i in train]), of.bad[train]
        )
        plain[test] = taught.decision_function(bags.transform([words[i] for i in test]))
    return scores, failed, plain


def few(of: Pile, most: int, seed: int) -> float:
    """AUC on the tasks that none of `most` labels is of."""
    tasks = np.array(of.tasks)
    order = np.random.default_rng(seed).permutation(sorted(set(tasks)))
    known = [int(i) for task in order for i in np.flatnonzero(tasks == task)][:most]
    rest = np.flatnonzero(~np.isin(tasks, tasks[known]))
    scores = detector(of, known).scores([of.runs[i] for i in rest])
    return float(roc_auc_score(of.bad[rest], scores))


def within(of: Pile, scores: Floats) -> float:
    """AUC within each model, weighted by its traces."""
    models = np.array([label["model"] for label in of.labels])
    parts = [(models == m) for m in sorted(set(models))]
    parts = [p for p in parts if len(set(of.bad[p])) > 1]
    return float(
        np.average([roc_auc_score(of.bad[p], scores[p]) for p in parts], weights=[p.sum() for p in parts])
    )


def top(of: Pile, scores: Floats) -> float:
    """The share of failures in the fifth with the highest scores."""
    return float(of.bad[np.argsort(-scores, kind="stable")[: len(scores) // 5]].mean())


def told(of: Pile, seeds: Sequence[int]) -> dict[str, Any]:
    """How well failures are told from the rest."""
    folds = [crossed(of, seed) for seed in seeds]

    def mean(of_each: Sequence[float]) -> float:
        return round(float(np.mean(of_each)), 3)

    return {
        "traces": len(of.runs),
        "failed": int(of.bad.sum()),
        "auc": mean([roc_auc_score(of.bad, s) for s, _, _ in folds]),
        "auc_baseline": mean([roc_auc_score(of.bad, p) for _, _, p in folds]),
        "auc_within_model": mean([within(of, s) for s, _, _ in folds]),
        "auc_within_model_baseline": mean([within(of, p) for _, _, p in folds]),
        "auc_50_labels": mean([few(of, 50, seed) for seed in seeds]),
        "auc_100_labels": mean([few(of, 100, seed) for seed in seeds]),
        "precision_top_fifth": mean([top(of, s) for s, _, _ in folds]),
        "precision_top_fifth_baseline": mean([top(of, p) for _, _, p in folds]),
        "precision_called": mean([of.bad[f].mean() for _, f, _ in folds if f.any()]),
        "share_called": mean([f.mean() for _, f, _ in folds]),
    }


def transferred(of: Pile) -> dict[str, Any]:
    """What is known of an agent that nobody has said anything of: rules alone, without a label of anyone."""
    found = detector(of).judge_all(of.traces)
    called = np.array([j.failed for j in found])
    return {
        "auc_no_labels": round(float(roc_auc_score(of.bad, [j.score for j in found])), 3),
        "precision_called_no_labels": round(float(of.bad[called].mean()), 3) if called.any() else None,
        "share_called_no_labels": round(float(called.mean()), 3),
    }


def grouped(of: Pile) -> dict[str, Any]:
    """Whether modes are causes: of the real failures, without any label learned."""
    wrong = of.some([bool(label.get("failure_type")) for label in of.labels])
    found = detector(of).judge_all(wrong.traces)
    modes = [group_of("bench", j.signals[0]).mode_id for j in found]
    kinds = [label["failure_type"].split(":")[0] for label in wrong.labels]
    return {
        "modes": len(set(modes)),
        "ami_failure_type": round(float(adjusted_mutual_info_score(kinds, modes)), 3),
        "ami_task": round(float(adjusted_mutual_info_score(wrong.tasks, modes)), 3),
    }


def hijacked(of: Pile) -> dict[str, Any]:
    """AUC of hijacked runs by the score that needs no label: among all runs, and among attacked ones."""
    scores = np.array(detector(of).scores(of.runs))
    truth = np.array([bool(label.get("hijacked")) for label in of.labels])
    attacked = np.array([label.get("attack") is not None for label in of.labels])
    return {
        "auc_hijacked_no_labels": round(float(roc_auc_score(truth, scores)), 3),
        "auc_hijacked_attacked_only": round(float(roc_auc_score(truth[attacked], scores[attacked])), 3),
    }


def per_second(of: Pile, work: Callable[[list[Trace]], object]) -> int:
    """Traces of which a core does the work in a second: the median of PASSES over all."""
    took: list[float] = []
    for _ in range(PASSES):
        began = time.process_time()
        work(of.traces)
        took.append(time.process_time() - began)
    return round(len(of.traces) / median(took))


def measured(folder: Path, seeds: Sequence[int], *, short: bool = False) -> dict[str, Any]:
    """All figures; `short`: of the office assistant only what costs no folds."""
    airline, office = pile(folder, AIRLINE), pile(folder, OFFICE)
    trusted = airline.some([not label.get("label_suspect") for label in airline.labels])
    began = time.process_time()
    made = detector(airline, range(len(airline.runs)))
    assert made.taught.ready
    taught = time.process_time() - began
    return {
        "transfer": {"airline": transferred(airline), "office": transferred(office)},
        "airline": told(airline, seeds) | grouped(airline),
        "airline_without_suspect_labels": told(trusted, seeds) if not short else None,
        "office": ({} if short else told(office, seeds)) | grouped(office) | hijacked(office),
        "seeds": list(seeds),
        "read_traces_per_core_second": per_second(airline, lambda traces: [read(t) for t in traces]),
        "judged_traces_per_core_second": per_second(airline, made.judge_all),
        "taught_core_seconds": round(taught, 2),
        "decoding_included": False,
    }


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--short", action="store_true", help="one split into folds instead of three")
    asked = parser.parse_args()
    if not (asked.folder / f"{AIRLINE[0]}.otlp.pb.zst").exists():
        sys.exit(f"no traces in {asked.folder}: name their folder")
    seeds = (0,) if asked.short else (0, 1, 2)
    sys.stdout.write(json.dumps(measured(asked.folder, seeds, short=asked.short)) + "\n")


if __name__ == "__main__":
    main()
