"""Scenario: what `outerloop gate simulate` plays, as a person writes it down."""

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from outerloop.gate.core.base import REPRODUCED_BELOW
from outerloop.gate.core.spending import DELTA, INDICES
from outerloop.runtime.documents import first_problem
from outerloop.runtime.errors import UserError

NEW = "(new)"  # the id of a simulated new eval

Rate = Annotated[float, Field(ge=0, le=1)]
Bar = Annotated[float, Field(gt=0, le=0.95)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScenarioEval(_Strict):
    """A prior eval. `anchor` and `candidate` are true rates; `history` is (passes, trials) of the base."""

    id: str
    bar: Bar
    anchor: Annotated[float, Field(gt=0, le=1)]
    history: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
    candidate: Rate

    @field_validator("history")
    @classmethod
    def _possible(cls, history: tuple[int, int]) -> tuple[int, int]:
        if history[0] > history[1]:
            raise ValueError(f"[passes, trials]: {history[0]} of {history[1]} cannot have passed")
        return history


class ScenarioNew(_Strict):
    """The new eval: true rates of the base and the candidate; `held_out` is the mean of its variants."""

    bar: Annotated[float, Field(gt=REPRODUCED_BELOW, le=0.95)]  # a base that fails it lies so much below
    base: Rate
    candidate: Rate
    held_out: Rate | None = None


class Scenario(_Strict):
    """What is simulated: `decisions` independent ones on one suite, after `failed_before` failed ones."""

    seed: int = 0
    decisions: Annotated[int, Field(ge=1)] = 2000
    delta: Annotated[float, Field(gt=0, lt=1)] = DELTA
    failed_before: Annotated[int, Field(ge=0, lt=INDICES)] = 0
    suite: tuple[ScenarioEval, ...]
    new: ScenarioNew

    @field_validator("suite")
    @classmethod
    def _distinct(cls, suite: tuple[ScenarioEval, ...]) -> tuple[ScenarioEval, ...]:
        for id_, times in Counter([NEW, *(each.id for each in suite)]).items():
            if times > 1:
                raise ValueError(f"the id {id_!r} is there twice, or is the new eval's")
        return suite

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "scenario") -> "Scenario":
        """Parse a scenario.

        Raises:
            UserError: naming `where`, the field and what is wrong with it.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(f"{where}: {first_problem(error)}") from error
