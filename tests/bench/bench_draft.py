"""How good are evals that are drafted without a model? On real traces, one half against the other.

The tasks of each file are halved. For each failure mode that triage finds in one half an eval is drafted,
from that half alone, and held against the other half; then the halves change places:

    recall         of the failures that triage puts into the same mode there, the share that the eval fails
    false_alarms   of the runs on requests like its own that are labelled a success, the share that it fails
    mutation       of such runs, broken on purpose, the share that it fails
    equivalent     how many broken runs are left out of it, as a success on such a request is so too
    valid          of the modes, the share for which an eval could be proven
    seconds        a draft

`sign` is the peer in the same run: the sign alone as the expectation, neither strengthened nor proven.

    python -m bench.bench_draft [--traces FOLDER] [--files NAME,...] [--least N] [--json-only]
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.traces import Labelled, recorded
from outerloop.draft.core.case import caught, on_case_of
from outerloop.draft.core.measure import Draft, Failing, Undraftable, broken_runs
from outerloop.draft.core.proof import draft
from outerloop.draft.core.recipe import expectations
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.grade import grade
from outerloop.trace.acts import writes_of
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import Crowd
from outerloop.trace.signal import Signal
from outerloop.triage.core.grouping import group_of
from outerloop.triage.core.signals import signals_of

FILES = ("airline_tau_gpt4o", "airline_tau2", "workspace_agentdojo")
MUTATED = 5  # runs that are broken, for each eval


@dataclass(slots=True)
class Half:
    """The runs of one half of the tasks: failures by mode with their first sign, and the others."""

    failures: dict[str, list[Failing]] = field(default_factory=lambda: defaultdict(list))
    titles: dict[str, str] = field(default_factory=dict)
    healthy: list[Trace] = field(default_factory=list)
    successes: list[Trace] = field(default_factory=list)
    writes: set[str] = field(default_factory=set)

    def add(self, run: Labelled) -> None:
        """Judge a run as triage does."""
        self.writes.update(writes_of([run.trace]))
        if run.success:
            self.successes.append(run.trace)
        if signs := signals_of(run.trace, []):
            group = group_of(run.trace.agent or "agent", signs[0])
            self.failures[group.mode_id].append(Failing(run.trace, signs[0]))
            self.titles[group.mode_id] = group.title
        else:
            self.healthy.append(run.trace)


@dataclass(slots=True)
class Share:
    """So many of so many."""

    n: int = 0
    of: int = 0

    def count(self, outcomes: Iterable[bool]) -> None:
        """Count outcomes."""
        for outcome in outcomes:
            self.n += outcome
            self.of += 1

    @property
    def rate(self) -> float | None:
        """The share, None of nothing."""
        return round(self.n / self.of, 3) if self.of else None


@dataclass(slots=True)
class Score:
    """What evals did on the half that they were not drafted from."""

    recall: Share = field(default_factory=Share)
    false_alarms: Share = field(default_factory=Share)
    mutation: Share = field(default_factory=Share)
    equivalent: int = 0

    def count(
        self, expect: Sequence[Expectation], exemplar: Trace, sign: Signal, same: Sequence[Trace], half: Half
    ) -> None:
        """Hold one eval against the other half."""
        alike = Crowd(half.successes).like(exemplar)
        self.recall.count(caught(expect, exemplar, t) for t in same)
        self.false_alarms.count(not _passes(expect, exemplar, t) for t in alike)
        good = [t for t in alike if _passes(expect, exemplar, t)][:MUTATED]
        broken, equal = broken_runs(good, exemplar, sign.span_id, alike, sorted(half.writes))
        self.mutation.count(not _passes(expect, exemplar, mutant.trace) for mutant in broken)
        self.equivalent += len(equal)

    def report(self) -> dict[str, Any]:
        """The shares, and how many they are of."""
        shares = {"recall": self.recall, "false_alarms": self.false_alarms, "mutation": self.mutation}
        rates = {name: {"rate": share.rate, "of": share.of} for name, share in shares.items()}
        return {**rates, "equivalent": self.equivalent}


def _passes(expect: Sequence[Expectation], exemplar: Trace, trace: Trace) -> bool:
    return grade(on_case_of(trace, expect, exemplar), trace).passed


def halves(runs: Iterable[Labelled]) -> tuple[Half, Half]:
    """The runs, halved by task: the same task is always in the same half."""
    first, second = Half(), Half()
    for run in runs:
        odd = int(sha256(run.task.encode()).hexdigest(), 16) % 2
        (second if odd else first).add(run)
    return first, second


@dataclass(slots=True)
class Tally:
    """What came of the modes of a file: `why` there is no eval, by title."""

    modes: int = 0
    found: Score = field(default_factory=Score)
    sign_only: Score = field(default_factory=Score)
    why: dict[str, str] = field(default_factory=dict[str, str])
    seconds: list[float] = field(default_factory=list[float])

    def report(self) -> dict[str, Any]:
        """The figures of one file."""
        return {
            "modes": self.modes,
            "valid": round(1 - len(self.why) / self.modes, 3) if self.modes else None,
            "seconds": round(sum(self.seconds) / len(self.seconds), 3) if self.seconds else None,
            **self.found.report(),
            "sign": self.sign_only.report(),
            "undraftable": self.why,
        }


def measure(runs: Iterable[Labelled], least: int) -> dict[str, Any]:
    """The figures of one file; a mode is one with `least` failures in the half that is drafted from."""
    one, other = halves(runs)
    tally = Tally()
    _draft_from(one, other, least, tally)
    _draft_from(other, one, least, tally)
    return tally.report()


def _draft_from(first: Half, second: Half, least: int, tally: Tally) -> None:
    modes = {mode: failing for mode, failing in first.failures.items() if len(failing) >= least}
    for mode, failing in modes.items():
        others = [f.trace for other, each in first.failures.items() if other != mode for f in each]
        began = time.perf_counter()
        made = draft(failing, first.healthy, others)
        tally.seconds.append(time.perf_counter() - began)
        tally.modes += 1
        same = [f.trace for f in second.failures.get(mode, [])]
        if isinstance(made, Undraftable):
            tally.why[f"{first.titles[mode]} ({tally.modes})"] = made.reason
            continue
        tally.found.count(made.expect, made.exemplar, made.sign, same, second)
        _count_sign(tally.sign_only, made, same, second)


def _count_sign(score: Score, made: Draft, same: Sequence[Trace], half: Half) -> None:
    alone = expectations(made.exemplar, made.sign, ()).own[:1]
    if alone:
        score.count(alone, made.exemplar, made.sign, same, half)


def main() -> None:
    """Measure, tell on stderr, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--traces", type=Path, default=Path("../shared/traces"), help="where they are")
    parser.add_argument("--files", default=",".join(FILES), help="which of them")
    parser.add_argument("--least", type=int, default=2, help="failures that make a mode")
    options = parser.parse_args()
    report: dict[str, Any] = {}
    for name in options.files.split(","):
        report[name] = measure(recorded(options.traces, name), options.least)
        sys.stderr.write(f"{name}: {json.dumps(report[name])}\n")
    sys.stdout.write(json.dumps({"bench": "draft", "least": options.least, "files": report}) + "\n")


if __name__ == "__main__":
    main()
