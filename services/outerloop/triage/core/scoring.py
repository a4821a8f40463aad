"""Scoring: every trace of a pile judged by its own agent's detector, as triage does it. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from outerloop.trace.model import Trace
from outerloop.triage.core.detector import Detector, Judgement
from outerloop.triage.core.features import read
from outerloop.triage.core.grouping import Group, group_of
from outerloop.triage.core.taught import Example


@dataclass(frozen=True, slots=True)
class Scored:
    """What is thought of a trace, and the mode that it has, or would have if it were a failure."""

    judgement: Judgement
    group: Group

    def line(self) -> dict[str, Any]:
        """As JSON takes it."""
        judgement = self.judgement
        return {
            "trace_id": judgement.trace_id,
            "score": round(judgement.score, 6),
            "failed": judgement.failed,
            "signals": [asdict(sign) for sign in judgement.signals],
            "span_id": judgement.span_id,
            "mode": self.group.mode_id,
            "mode_title": self.group.title,
            "basis": judgement.basis,
            "detector": judgement.detector,
            "precision": judgement.precision,
        }


def scored(traces: Sequence[Trace], bad: Mapping[str, bool]) -> list[Scored]:
    """Every trace in its order; `bad` says of some, by id, whether they failed: learned from first."""
    piles: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        piles[trace.agent or trace.root.service or "unknown"].append(trace)
    found: dict[str, Scored] = {}
    for agent, pile in piles.items():
        detector = Detector(agent)
        reads = [read(trace) for trace in pile]
        runs = [each.run for each in reads]
        detector.keep(runs)
        detector.learn(Example(run, bad[run.trace_id]) for run in runs if run.trace_id in bad)
        for judgement in detector.judge_read(reads):
            found[judgement.trace_id] = Scored(judgement, group_of(agent, judgement.signals[0]))
    return [found[trace.trace_id] for trace in traces]
