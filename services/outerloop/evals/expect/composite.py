"""Composite: all, any and not of expectations; and `Expectation`, any one of all kinds."""

from typing import Annotated, Literal

from pydantic import Field

from outerloop.evals.expect.answer import (
    AnswerContains,
    Answered,
    AnswerEquals,
    AnswerFits,
    AnswerMatches,
    AnswerNumber,
    AnswerValue,
)
from outerloop.evals.expect.base import Check, Run, Seen, listed
from outerloop.evals.expect.behaviour import AtMost, Finished, NoErrorSpans, NoErrorStatus
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.consent import AskedFirst
from outerloop.evals.expect.judged import Judged
from outerloop.evals.expect.language import AnswerLanguage
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.expect.tools import (
    NoRepeatedCall,
    ToolCalled,
    ToolCount,
    ToolNotCalled,
    ToolsInOrder,
    ToolSucceeds,
)


class AllOf(Check):
    """Every one of these holds."""

    check: Literal["all"] = "all"
    of: Annotated[tuple["Expectation", ...], Field(min_length=1)]

    @property
    def parts(self) -> tuple[Check, ...]:
        """See Check."""
        return self.of

    @property
    def words(self) -> str:
        """See Check."""
        return listed([bracketed(each) for each in self.of])

    def look(self, run: Run) -> Seen:
        """See Check."""
        reasons = [reason for each in self.of if (reason := each.reason(run))]
        return Seen(not reasons, "; ".join(reasons) or "all of it holds")


class AnyOf(Check):
    """At least one of these holds."""

    check: Literal["any"] = "any"
    of: Annotated[tuple["Expectation", ...], Field(min_length=1)]

    @property
    def parts(self) -> tuple[Check, ...]:
        """See Check."""
        return self.of

    @property
    def words(self) -> str:
        """See Check."""
        return f"either {listed([bracketed(each) for each in self.of], 'or')}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        seen = [each.look(run) for each in self.of]
        if held := next((one for one in seen if one.holds), None):
            return held
        return Seen(
            holds=False,
            saw="; ".join(f"{each.wanted}: {one.saw}" for each, one in zip(self.of, seen, strict=True)),
        )


class Not(Check):
    """This does not hold."""

    check: Literal["not"] = "not"
    of: "Expectation"

    @property
    def parts(self) -> tuple[Check, ...]:
        """See Check."""
        return (self.of,)

    @property
    def words(self) -> str:
        """See Check."""
        # The clause that stands in nearly every eval is said as a person would.
        return "does not refuse" if self.of == Refused() else f"does not do this: it {bracketed(self.of)}"

    @property
    def wanted(self) -> str:
        """See Check."""
        if self.of == Refused():
            return "expected no refusal"
        return f"expected that it is not so that the agent {bracketed(self.of)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        seen = self.of.look(run)
        return Seen(not seen.holds, seen.saw)


Expectation = Annotated[
    ToolCalled
    | ToolNotCalled
    | ToolSucceeds
    | NoRepeatedCall
    | NoErrorStatus
    | Answered
    | ToolsInOrder
    | ToolCount
    | StateChanges
    | AnswerContains
    | AnswerMatches
    | AnswerEquals
    | AnswerFits
    | AnswerValue
    | AnswerNumber
    | AnswerLanguage
    | Refused
    | Finished
    | NoErrorSpans
    | AtMost
    | AskedFirst
    | Judged
    | AllOf
    | AnyOf
    | Not,
    Field(discriminator="check"),
]
for composite in (AllOf, AnyOf, Not):
    composite.model_rebuild()


def bracketed(check: Check) -> str:
    """Its words, in brackets where they would run into what is beside them."""
    return f"({check.words})" if len(check.parts) > 1 else check.words
