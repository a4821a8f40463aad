"""The table of gates: this one beside the rules that people use instead, over good and bad changes."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from outerloop.gate.core.case import Outcome, Terms
from outerloop.gate.core.spending import alpha_of
from outerloop.gate.simulate.play import UNCAPPED, World, decide, lower_bound
from outerloop.gate.simulate.population import Change, changed, suite_world
from outerloop.gate.simulate.rivals import RULES, Coins, Rule

SIZES = (20, 200, 2000)
THIS, LATER, BOUND = "this gate", "this gate, after 9 failures", "lower bound"
# So many decisions a cell, in about a minute a size; more of this gate, whose errors are rare.
DECISIONS = {20: 2000, 200: 300, 2000: 60}
OURS = {200: 2000, 2000: 240}
_RIVALS_UP_TO = 300  # evals; beyond that only the rule with the same guarantee is worth its time
_SAME_GUARANTEE = "fixed n, same guarantee"


@dataclass(frozen=True, slots=True)
class Row:
    """One gate on suites of `evals`: shares of verdicts and mean trials over so many `decisions` each.

    None where it is not known.
    """

    evals: int
    gate: str
    decisions: int
    ships_bad: float | None = None
    ships_unfixed: float | None = None
    blocks_good: float | None = None
    calls_good: float | None = None
    calls_bad: float | None = None
    calls_unfixed: float | None = None


Gate = Callable[[World, random.Random], tuple[bool, int]]


def table(sizes: tuple[int, ...] = SIZES, *, share: float = 1.0, seed: int = 7) -> list[Row]:
    """All gates on suites of these sizes; `share` of the decisions is played (at least 5 a cell)."""
    rows: list[Row] = []
    for evals in sizes:
        decisions = max(5, round(DECISIONS.get(evals, 40_000 // evals) * share))
        for name, rule in RULES.items():
            if evals <= _RIVALS_UP_TO or name == _SAME_GUARANTEE:
                rows.append(_row(evals, name, partial(_rival, rule), decisions, seed))
        ours = max(5, round(OURS[evals] * share)) if evals in OURS else decisions
        rows.append(_row(evals, THIS, partial(_this, 1), ours, seed))
        rows.append(_row(evals, LATER, partial(_this, 10), decisions, seed))
        rows.append(Row(evals, BOUND, decisions, calls_good=bound(evals, decisions, seed)))
    return rows


def bound(evals: int, decisions: int, seed: int) -> float:
    """The mean lower bound on the trials of a good change, over the suites of the table."""
    terms = Terms(alpha=alpha_of(1))
    worlds = (suite_world(evals, random.Random(f"{seed}/{n}")) for n in range(decisions))  # noqa: S311
    return sum(lower_bound(world, terms, 1.0) for world in worlds) / decisions


def _row(evals: int, name: str, gate: Gate, decisions: int, seed: int) -> Row:
    ships = dict.fromkeys(Change, 0)
    calls = dict.fromkeys(Change, 0)
    for n in range(decisions):
        rng = random.Random(f"{seed}/{n}")  # noqa: S311 (every gate meets the same suites)
        world = suite_world(evals, rng)
        for change in Change:
            shipped, made = gate(changed(world, change, rng), rng)
            ships[change] += shipped
            calls[change] += made
    return Row(
        evals,
        name,
        decisions,
        ships_bad=ships[Change.BREAKS] / decisions,
        ships_unfixed=ships[Change.COSMETIC] / decisions,
        blocks_good=1 - ships[Change.GOOD] / decisions,
        calls_good=calls[Change.GOOD] / decisions,
        calls_bad=calls[Change.BREAKS] / decisions,
        calls_unfixed=calls[Change.COSMETIC] / decisions,
    )


def _rival(rule: Rule, world: World, rng: random.Random) -> tuple[bool, int]:
    coins = Coins(world, rng)
    return rule(coins), coins.calls


def _this(index: int, world: World, rng: random.Random) -> tuple[bool, int]:
    verdict = decide(world, Terms(alpha=alpha_of(index), trials_a_decision=UNCAPPED), rng)
    return verdict.outcome is Outcome.SHIP, verdict.trials
