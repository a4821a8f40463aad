"""Detector: what is known of one agent, and what it makes of a trace of that agent.

It remembers runs (to compare others with them) and learns from labels. With too few labels the rules decide
alone, and the judgement says so. Nothing in it depends on the order in which runs and labels came, but for
which runs it still remembers.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal
from outerloop.triage.core.features import Read, Seen, read, signs_in
from outerloop.triage.core.outcome import outcome_sign
from outerloop.triage.core.peers import Peers
from outerloop.triage.core.signals import DETECTOR, RULE_KINDS, said_of
from outerloop.triage.core.taught import Example, Taught, priors_of

MEMORY = 2000
Basis = Literal["rules", "learned", "evaluation"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is thought of one trace.

    `score` is from 0 (good) to 1, and a probability where `basis` is "learned". `signals`: the first names
    the failure, or what it would be if it were one; `span_id` is where that shows. `learned_from` counts
    labels; `precision` is the share of real failures among those called so, measured on labelled traces that
    were left out, None where there were too few.
    """

    trace_id: str
    score: float
    failed: bool
    signals: tuple[Signal, ...]
    span_id: str
    basis: Basis
    detector: str
    learned_from: int = 0
    precision: float | None = None


class Detector:
    """See the module."""

    def __init__(self, agent: str, *, memory: int = MEMORY) -> None:
        self.agent = agent
        self._memory = memory
        self._seen: dict[str, Seen] = {}
        self._examples: dict[str, Example] = {}
        self._peers: Peers | None = None
        self._taught: Taught | None = None

    @property
    def name(self) -> str:
        """Which detector this is, for the verdict: the rules, or what was learned beside them."""
        return self.version if self.taught.changes_verdicts else DETECTOR

    @cached_property
    def version(self) -> str:
        """What it has seen: its rules, how many labels, and a hash over those and the runs it remembers."""
        told = [*sorted(self._seen), *(f"{i} {self._examples[i].failed:d}" for i in sorted(self._examples))]
        seen = hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
        return f"{DETECTOR}+{len(self._examples)}labels/{seen}"

    @property
    def examples(self) -> Mapping[str, Example]:
        """What it has learned from, by trace."""
        return self._examples

    @property
    def taught(self) -> Taught:
        """What the labels taught, as of now."""
        if self._taught is None:
            self._taught = Taught.of(list(self._examples.values()), self._compared)
        return self._taught

    def remember(self, traces: Iterable[Trace]) -> None:
        """Runs that others may be compared with; the oldest are forgotten."""
        self.keep(read(trace).run for trace in traces)

    def keep(self, runs: Iterable[Seen]) -> None:
        """As remember, of what was made of the traces already."""
        for run in runs:
            self._seen.pop(run.trace_id, None)
            # Nothing is compared by what was said, and that is most of a run.
            self._seen[run.trace_id] = replace(run, said=(), closing=())
        for trace_id in list(self._seen)[: -self._memory]:
            del self._seen[trace_id]
        self._changed()
        self._peers = None

    def learn(self, examples: Iterable[Example]) -> None:
        """What runs really were; a later word on the same run replaces the earlier."""
        self._examples.update({example.run.trace_id: example for example in examples})
        self._changed()

    def judge(self, trace: Trace, said: Sequence[Evaluation] = ()) -> Judgement:
        """One trace; see judge_all."""
        return self.judge_all([trace], {trace.trace_id: said})[0]

    def judge_all(
        self, traces: Sequence[Trace], said: Mapping[str, Sequence[Evaluation]] | None = None
    ) -> list[Judgement]:
        """What is thought of each trace, with what evaluators `said` of it by trace id."""
        return self.judge_read([read(trace) for trace in traces], said)

    def judge_read(
        self, reads: Sequence[Read], said: Mapping[str, Sequence[Evaluation]] | None = None
    ) -> list[Judgement]:
        """As judge_all, of traces that were read already."""
        scores = self.scores([each.run for each in reads])
        return [
            self._judgement(each, score, (said or {}).get(each.run.trace_id, ()))
            for each, score in zip(reads, scores, strict=True)
        ]

    def calls(self, runs: Sequence[Seen]) -> list[bool]:
        """Whether each run is a failure, before any evaluator is asked."""
        taught = self.taught
        return [
            score >= taught.threshold or bool(signs_in(run).keys() & taught.deciding)
            for run, score in zip(runs, self.scores(runs), strict=True)
        ]

    def scores(self, runs: Sequence[Seen]) -> list[float]:
        """The score of each run, before any evaluator is asked."""
        peers = self._compared(runs)
        priors = priors_of(runs, peers, self.taught.deciding)
        return [float(s) for s in self.taught.scores(runs, peers, priors)]

    def to_json(self) -> str:
        """All that it knows."""
        return json.dumps(
            {
                "agent": self.agent,
                "seen": [packed(run) for run in self._seen.values()],
                "examples": [
                    {"run": packed(e.run), "failed": e.failed, "source": e.source}
                    for e in self._examples.values()
                ],
            }
        )

    @classmethod
    def from_json(cls, text: str, *, memory: int = MEMORY) -> "Detector":
        """The detector that wrote this."""
        state = json.loads(text)
        detector = cls(state["agent"], memory=memory)
        detector.keep(unpacked(run) for run in state["seen"])
        detector.learn(Example(unpacked(e["run"]), e["failed"], e["source"]) for e in state["examples"])
        return detector

    def _changed(self) -> None:
        self._taught = None
        self.__dict__.pop("version", None)

    def _compared(self, runs: Sequence[Seen]) -> "np.ndarray[Any, np.dtype[np.float64]]":
        if self._peers is None:
            self._peers = Peers(list(self._seen.values()))
        return self._peers.compared(runs)

    def _judgement(self, what: Read, score: float, said: Sequence[Evaluation]) -> Judgement:
        taught, rules = self.taught, what.signs.rules
        deciding = [sign for sign in rules if sign.kind in taught.deciding]
        bad = list(said_of(said))
        failed = bool(deciding or bad) or score >= taught.threshold
        names = [*deciding[:1], *bad, *deciding[1:]] or [outcome_sign(what.transcript)]
        rest = [sign for sign in (*rules, *what.signs.hints) if sign not in names]
        basis: Basis = "evaluation" if bad and not deciding else "learned" if taught.ready else "rules"
        return Judgement(
            trace_id=what.run.trace_id,
            score=max(score, taught.certain) if deciding or bad else score,
            failed=failed,
            signals=(*names, *rest),
            span_id=names[0].span_id,
            basis=basis,
            detector=self.name,
            learned_from=len(self._examples),
            precision=taught.measured.precision,
        )


def packed(run: Seen) -> dict[str, Any]:
    """A run as JSON takes it."""
    return asdict(run) | {"effects": sorted(run.effects)}


def unpacked(state: Mapping[str, Any]) -> Seen:
    """The run that was packed so."""
    lists = {name: tuple(state[name]) for name in ("said", "closing", "wish", "tools")}
    return Seen(**{**state, **lists, "effects": frozenset(state["effects"])})


__all__ = ["MEMORY", "RULE_KINDS", "Detector", "Example", "Judgement"]
