"""Lives: what a gate ships over a thousand proposals, its error spent from one ledger."""

import random
from collections import Counter
from dataclasses import dataclass, replace

from outerloop.gate.core.bars import Margin
from outerloop.gate.core.case import Kind, Outcome, Terms, Verdict
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.spending import INDICES, Ledger, Released, alpha_of
from outerloop.gate.core.standing import Standing, after
from outerloop.gate.simulate.play import UNCAPPED, World, decide
from outerloop.gate.simulate.population import Change, changed, suite_world
from outerloop.gate.simulate.rivals import PERSISTENT_RULES, Coins, Rule

PROPOSALS = 1000
_CANDIDATES = (Change.GOOD, Change.BREAKS, Change.BREAKS, Change.COSMETIC, Change.COSMETIC)  # 20 % good


@dataclass(frozen=True, slots=True)
class MixedLife:
    """Proposals of each kind, and how many of them shipped; `calls` of all, `spent` indices at the end."""

    proposed: dict[str, int]
    shipped: dict[str, int]
    calls: int
    spent: int


@dataclass(frozen=True, slots=True)
class PersistentLives:
    """Shares of lives in which a regression shipped, and in which a good change shipped after it all."""

    lives: int
    regressed: float
    below_bar: float
    good_ships: float
    good_calls: float


def mixed_life(evals: int, rng: random.Random, proposals: int = PROPOSALS) -> MixedLife:
    """One life on a suite of `evals`; which kind is proposed is drawn each time."""
    world = suite_world(evals, rng)
    ledger = Ledger()
    proposed: Counter[str] = Counter()
    shipped: Counter[str] = Counter()
    calls = 0
    for number in range(proposals):
        kind = rng.choice(_CANDIDATES)
        verdict = propose(changed(world, kind, rng), ledger, f"change {number}", rng)
        proposed[kind.value] += 1
        shipped[kind.value] += verdict.outcome is Outcome.SHIP
        calls += verdict.trials
        if verdict.outcome is Outcome.SHIP:
            world = shipped_on(world, verdict)
    return MixedLife(dict(proposed), dict(shipped), calls, ledger.open_or_failed)


def persistent_lives(
    evals: int, lives: int, rng: random.Random, proposals: int = PROPOSALS
) -> PersistentLives:
    """Bad proposals in a row, until one ships; then a good one, at the price of all that failed."""
    regressed = below = good = 0
    calls: list[int] = []
    for _ in range(lives):
        world = suite_world(evals, rng)
        ledger = Ledger()
        for number in range(proposals):
            bad = changed(world, Change.BREAKS, rng)
            if propose(bad, ledger, f"bad {number}", rng).outcome is Outcome.SHIP:
                regressed += 1
                below += any(rate <= p.bar for rate, p in zip(bad.rates, bad.priors, strict=True))
                break
        terms = Terms(alpha=alpha_of(min(ledger.next_index, INDICES)), trials_a_decision=UNCAPPED)
        verdict = decide(world, terms, rng)
        good += verdict.outcome is Outcome.SHIP
        calls.append(verdict.trials)
    return PersistentLives(lives, regressed / lives, below / lives, good / lives, sum(calls) / lives)


def persistent_against(
    rule: Rule, evals: int, lives: int, rng: random.Random, proposals: int = PROPOSALS
) -> float:
    """The share of lives in which a rule ships one of the bad proposals."""
    regressed = 0
    for _ in range(lives):
        world = suite_world(evals, rng)
        regressed += any(rule(Coins(changed(world, Change.BREAKS, rng), rng)) for _ in range(proposals))
    return regressed / lives


def propose(world: World, ledger: Ledger, content: str, rng: random.Random) -> Verdict:
    """One proposal of a life: decided, and entered in the ledger unless the screen stopped it."""
    reserved = ledger.reservation(content)
    terms = Terms(alpha=ledger.alpha(reserved), trials_a_decision=UNCAPPED)
    verdict = decide(world, terms, rng)
    if verdict.stop is None or verdict.stop.kind is not Kind.SCREEN:
        ledger.apply(reserved)
    if verdict.outcome is Outcome.SHIP:
        ledger.apply(Released(content))
    return verdict


def shipped_on(world: World, verdict: Verdict) -> World:
    """The world as the next change meets it: what shipped is the base now, and its trials history."""
    before = {
        p.eval_id: Standing(bar=p.bar, anchor=p.anchor, passed=p.passes, trials=p.trials)
        for p in world.priors
    }
    claims = [Shown.of(claim, "") for claim in verdict.claims]
    now = after(before, claims=claims, new_eval_margin=Margin.STANDARD)
    fed = [replace(p, passes=now[p.eval_id].passed, trials=now[p.eval_id].trials) for p in world.priors]
    return replace(world, priors=tuple(fed))


@dataclass(frozen=True, slots=True)
class LifeRow:
    """One line of the lives: who lived, and the share of lives in which what happened.

    A regression may stay above every bar, where no gate is asked to stop it; δ bounds those below one.
    """

    gate: str
    lives: int
    regression_ships: float
    below_a_bar: float | None = None
    good_ships: float | None = None
    calls: float | None = None


def lives(*, share: float = 1.0, seed: int = 7) -> tuple[MixedLife, list[LifeRow]]:
    """A mixed life on 200 evals, and persistent proposers against a suite of 20, beside the other rules."""
    rng = random.Random(seed)  # noqa: S311 (a simulation wants to be repeatable)
    mixed = mixed_life(200, rng, max(50, round(PROPOSALS * share)))
    count = max(2, round(40 * share))
    ours = persistent_lives(20, count, rng)
    rows = [
        LifeRow(name, count, persistent_against(rule, 20, count, rng))
        for name, rule in PERSISTENT_RULES.items()
    ]
    rows.append(LifeRow("this gate", count, ours.regressed, ours.below_bar, ours.good_ships, ours.good_calls))
    return mixed, rows
