"""Simulation: the gate's own decision code on agents whose true pass rates are known."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outerloop.gate.core.base import Finding, Reproduction
from outerloop.gate.core.case import Case, NewEval, Outcome, PriorEval, Terms, Trial, Verdict
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.lower_bound import trials_to_certify, trials_to_reject
from outerloop.gate.core.spending import alpha_of
from outerloop.gate.simulate.scenario import NEW, Scenario

VARIANTS = 3  # held-out variants of a simulated new eval
UNCAPPED = 10**9  # the cap on a decision's trials is about money, and is not what is simulated


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
    """Decide as often as the scenario says, each time on fresh trials.

    That the base fails the new eval is proven once, before any decision, and its trials are not among the
    calls. If it is not, no change is tried: all are rejected when the base passes, else inconclusive.
    """
    start = time.perf_counter()
    world = _world(scenario)
    terms = Terms(alpha=alpha_of(scenario.failed_before + 1, scenario.delta), trials_a_decision=UNCAPPED)
    found = reproduced(scenario)
    if found is Finding.BROKEN:
        rng = random.Random(scenario.seed)  # noqa: S311 (a simulation wants to be repeatable)
        decided = (decide(world, terms, rng) for _ in range(scenario.decisions))
        verdicts = [(verdict.outcome, verdict.trials) for verdict in decided]
    else:
        verdicts = [(Outcome.REJECT if found is Finding.FINE else Outcome.INCONCLUSIVE, 0)]
    calls = [trials for _, trials in verdicts]
    share = {o: sum(outcome is o for outcome, _ in verdicts) / len(verdicts) for o in Outcome}
    return Answer(
        ship=share[Outcome.SHIP],
        reject=share[Outcome.REJECT],
        inconclusive=share[Outcome.INCONCLUSIVE],
        calls_mean=float(np.mean(calls)),
        calls_p90=float(np.percentile(calls, 90)),
        lower_bound=lower_bound(world, terms, share[Outcome.SHIP]) if any(calls) else 0.0,
        seconds=time.perf_counter() - start,
    )


def reproduced(scenario: Scenario) -> Finding:
    """What the base's trials on the new eval show."""
    rng = random.Random(f"{scenario.seed}/base")  # noqa: S311 (see above)
    question = Reproduction(NEW, scenario.new.bar)
    while (trial := question.next_trial()) is not None:
        question.started(trial)
        question.finished(trial, passed=rng.random() < scenario.new.base)
    if question.finding is None:
        raise AssertionError("nothing runs, nothing is asked for, and there is no finding")
    return question.finding


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
