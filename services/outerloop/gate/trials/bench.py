"""Bench: one tree of the agent under trial, and who makes its trials happen."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from outerloop.evals.suite import Entry
from outerloop.gate.core.case import Trial
from outerloop.runtime.agentfile import AgentFile
from outerloop.store.trials import TrialRecord


class Subject(StrEnum):
    """What is on trial."""

    CANDIDATE = "candidate"
    BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all trials of a series share.

    `series` is what they count for: the decision's id for a candidate; for a base an id of the question that
    is asked of it. `tree` is under trial, made by `change_id` ("": the base itself) on `base_commit` (with
    `base_tree`), whose tools answer what a cassette does not hold. `suite_commit` ("": none) has the earlier
    evals of `entries`; `contents` are the hashes of their content, by id. `model` takes the place of the one
    that the agent asks for, unless it is "".
    """

    series: str
    subject: Subject
    agentfile: AgentFile
    tree: str
    base_commit: str
    base_tree: str
    suite_commit: str
    change_id: str
    entries: Mapping[str, Entry]
    contents: Mapping[str, str]
    model: str = ""


class Runner(Protocol):
    """Makes one trial happen."""

    async def run(self, bench: Bench, trial: Trial) -> TrialRecord:
        """The record of the trial; it is kept where the runner keeps records.

        Raises:
            TrialNotRunError: when it did not happen.
        """
        ...


class Records(Protocol):
    """Keeps the trials that were run: none is ever run twice."""

    async def of(self, series: str) -> list[TrialRecord]:
        """The trials of a series, by eval and number."""
        ...

    async def add(self, record: TrialRecord) -> TrialRecord:
        """Keep one; the one that stays: of a trial that was run twice, the first."""
        ...
