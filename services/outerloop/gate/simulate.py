"""Simulation: the gate's own decision code on agents whose true pass rates are known."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from outerloop.gate.core.case import Case, NewEval, Outcome, PriorEval, Terms, Trial, Verdict
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.fresh import HELD_OUT_SLACK
from outerloop.gate.core.lower_bound import trials_to_certify, trials_to_reject
from outerloop.gate.core.spending import DELTA, INDICES, alpha_of
from outerloop.runtime.errors import UserError

VARIANTS = 3  # held-out variants of a simulated new eval
NEW = "(new)"
# The cap on a decision's trials is about money, and is not what is simulated: with it every suite beyond
# about 850 evals would be inconclusive.
UNCAPPED = 10**9

Rate = Annotated[float, Field(ge=0, le=1)]
Bar = Annotated[float, Field(gt=HELD_OUT_SLACK, le=0.95)]


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

    bar: Bar
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
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the document"
            raise UserError(f"{where}: {field}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """Shares of the verdicts, trials a decision, the least that any gate could need, seconds it took."""

    ship: float
    reject: float
    inconclusive: float
    calls_mean: float
    calls_p90: float
    lower_bound: float
    seconds: float


@dataclass(frozen=True, slots=True)
class World:
    """A change as it truly is: the rates of `priors` under it, in their order, and of the new eval."""

    bar: float
    priors: tuple[PriorEval, ...]
    rates: Sequence[float]
    new: float
    held_out: float | None

    def passes(self, trial: Trial, number: dict[str, int], rng: random.Random) -> bool:
        """One toss of a coin."""
        if trial.eval_id != NEW:
            return rng.random() < self.rates[number[trial.eval_id]]
        rate = self.held_out if trial.variant and self.held_out is not None else self.new
        return rng.random() < rate


def run_scenario(scenario: Scenario) -> Answer:
    """Decide as often as the scenario says, each time on fresh trials."""
    start = time.perf_counter()
    world = _world(scenario)
    terms = Terms(alpha=alpha_of(scenario.failed_before + 1, scenario.delta), trials_a_decision=UNCAPPED)
    rng = random.Random(scenario.seed)  # noqa: S311 (a simulation wants to be repeatable)
    verdicts = [decide(world, terms, rng) for _ in range(scenario.decisions)]
    calls = [verdict.trials for verdict in verdicts]
    share = {o: sum(v.outcome is o for v in verdicts) / len(verdicts) for o in Outcome}
    return Answer(
        ship=share[Outcome.SHIP],
        reject=share[Outcome.REJECT],
        inconclusive=share[Outcome.INCONCLUSIVE],
        calls_mean=float(np.mean(calls)),
        calls_p90=float(np.percentile(calls, 90)),
        lower_bound=lower_bound(world, terms, share[Outcome.SHIP]),
        seconds=time.perf_counter() - start,
    )


def decide(world: World, terms: Terms, rng: random.Random) -> Verdict:
    """One decision on `world`, one trial after another."""
    variants = VARIANTS if world.held_out is not None else 0
    new = NewEval(eval_id=NEW, bar=world.bar, variants=variants)
    confirmation = Confirmation(Case(new=new, priors=world.priors, seed=str(rng.random())), terms)
    number = {prior.eval_id: i for i, prior in enumerate(world.priors)}
    while isinstance(trial := confirmation.next_trial(), Trial):
        confirmation.started(trial)
        confirmation.finished(trial, passed=world.passes(trial, number, rng))
    if trial is None:
        raise AssertionError("nothing runs, nothing is asked for, and there is no verdict")
    return trial


def lower_bound(world: World, terms: Terms, shipped: float) -> float:
    """The least expected trials of any gate with error α that ships this change as often (at most 1 − β).

    Of a change that breaks a bar: the least it takes to tell it from one that is as good as the base.
    """
    claims = [(rate, p.bar, p.anchor) for rate, p in zip(world.rates, world.priors, strict=True)]
    mixed, share = world.new, 0.0
    if world.held_out is not None:
        share = VARIANTS / (VARIANTS + 1)
        mixed = world.new * (1 - share) + world.held_out * share
    broken = [(rate, max(good, bar)) for rate, bar, good in claims if rate <= bar]
    if mixed <= world.bar:
        return 0.0  # what a good fix would pass at is not known
    if broken:
        return trials_to_reject(broken, terms.alpha, terms.beta)
    missed = 1 - min(shipped, 1 - terms.beta)
    if 1 - missed <= terms.alpha:
        return 0.0
    new = trials_to_certify(mixed, world.bar, terms.alpha, missed)
    return new + sum(trials_to_certify(rate, bar, terms.alpha, missed) for rate, bar, _ in claims)


def _world(scenario: Scenario) -> World:
    return World(
        bar=scenario.new.bar,
        priors=tuple(
            PriorEval(eval_id=e.id, bar=e.bar, anchor=e.anchor, passes=e.history[0], trials=e.history[1])
            for e in scenario.suite
        ),
        rates=[e.candidate for e in scenario.suite],
        new=scenario.new.candidate,
        held_out=scenario.new.held_out,
    )
