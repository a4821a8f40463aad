"""Judged: what only a language model can tell of a run, by a rubric.

A judge (rubric, model and prompt together) may be used only once it is known how far it agrees with people:
its expectation carries the confusion matrix, measured on labelled traces, and is refused without one, or with
one that was measured for another judge. So whoever changes the judge measures again.
"""

import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field, model_validator

from outerloop.evals.expect.base import Check, Run, Seen, short
from outerloop.runtime.documents import Document

LEAST_LABELLED = 20
LEAST_OF_EACH = 5  # that people say holds, and that they say does not
LEAST_KAPPA = 0.6  # "substantial" agreement by Landis and Koch, Biometrics 33 (1977)

_Count = Annotated[int, Field(ge=0)]
# The numbers of prompts/judge-N.md. A prompt is never edited: another text gets another number.
Prompt = Literal["judge-1"]


class UnjudgedError(Exception):
    """A judge's opinion is needed, and none was given in: who grades must have asked it."""


class Agreement(Document):
    """How often a judge says what people say, on labelled traces: people first, then the judge."""

    judge_sha256: str
    both_hold: _Count
    people_only: _Count
    judge_only: _Count
    neither: _Count

    @property
    def labelled(self) -> int:
        """How many traces were looked at."""
        return self.both_hold + self.people_only + self.judge_only + self.neither

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance, 1 at best (Educ. Psychol. Meas. 20, 1960)."""
        total = self.labelled
        if not total:
            return 0.0
        people, judge = self.both_hold + self.people_only, self.both_hold + self.judge_only
        by_chance = (people * judge + (total - people) * (total - judge)) / total**2
        agreed = (self.both_hold + self.neither) / total
        return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0

    @property
    def lacks(self) -> str:
        """Why the judge may not be used, in a clause; "" if it may."""
        holds, fails = self.both_hold + self.people_only, self.judge_only + self.neither
        if self.labelled < LEAST_LABELLED or min(holds, fails) < LEAST_OF_EACH:
            return (
                f"it was measured on {holds} traces that hold and {fails} that do not, by people's labels: it"
                f" takes {LEAST_LABELLED}, of each kind {LEAST_OF_EACH}"
            )
        if self.kappa < LEAST_KAPPA:
            return f"it hardly agrees with people: kappa is {self.kappa:.2f}, below {LEAST_KAPPA}"
        return ""

    @property
    def table(self) -> str:
        """The confusion matrix, for people."""
        rows = [
            ("", "judge: holds", "judge: does not"),
            ("people: holds", str(self.both_hold), str(self.people_only)),
            ("people: does not", str(self.judge_only), str(self.neither)),
        ]
        return "\n".join(f"{name:<18}{left:>14}{right:>17}" for name, left, right in rows)


class Judge(Document):
    """A rubric, and who judges by it: the model's id and the version of the prompt."""

    rubric: Annotated[str, Field(min_length=1, max_length=4_000)]
    model: Annotated[str, Field(min_length=1)]
    prompt: Prompt = "judge-1"

    @property
    def sha256(self) -> str:
        """The judge's id: a hash over rubric, model and the prompt's text."""
        said = json.dumps([self.rubric, self.model, self.prompt, prompt_text(self.prompt)])
        return hashlib.sha256(said.encode()).hexdigest()


class Judged(Check):
    """A judge says that the run does what its rubric asks."""

    check: Literal["judged"] = "judged"
    judge: Judge
    agreement: Agreement

    @model_validator(mode="after")
    def _may_be_used(self) -> "Judged":
        if self.agreement.judge_sha256 != self.judge.sha256:
            raise ValueError(
                "its agreement was measured for another judge: measure this one (`outerloop evals judge`)"
            )
        if self.agreement.lacks:
            raise ValueError(f"the judge may not be used: {self.agreement.lacks}")
        return self

    @property
    def words(self) -> str:
        """See Check."""
        agreed = self.agreement.both_hold + self.agreement.neither
        known = f"which agrees with people on {agreed} of {self.agreement.labelled} traces"
        return f"does what this asks, as {self.judge.model} sees it, {known}: {short(self.judge.rubric)}"

    @property
    def wanted(self) -> str:
        """See Check."""
        return f"expected what {self.judge.model} was to judge ({short(self.judge.rubric)})"

    def look(self, run: Run) -> Seen:
        """See Check.

        Raises:
            UnjudgedError: if the judge was not asked.
        """
        opinion = run.opinions.get(self.judge.sha256)
        if opinion is None:
            raise UnjudgedError(f"{self.judge.model} was not asked: {short(self.judge.rubric)}")
        return Seen(opinion.holds, short(opinion.why))


@lru_cache(maxsize=8)
def prompt_text(prompt: str) -> str:
    """The text of a prompt, by its version."""
    return files("outerloop.evals").joinpath("prompts", f"{prompt}.md").read_text(encoding="utf-8")
