"""The gate's figures next to those it was designed to: `python tests/bench/bench_gate.py [--share .05]`.

Prints the table for 20, 200 and 2,000 evals, the lives, the exact figures and the time of a decision step,
each beside the figure of the page that fixed the statistics; the last line is JSON.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict

import numpy as np

from outerloop.gate.core.case import Case, NewEval, Terms, Trial
from outerloop.gate.core.claim import bets
from outerloop.gate.core.confirmation import Confirmation
from outerloop.gate.core.exact import certified_at_the_bar, ever
from outerloop.gate.core.spending import INDICES, alpha_of
from outerloop.gate.simulate.lives import lives
from outerloop.gate.simulate.play import UNCAPPED
from outerloop.gate.simulate.population import suite_world
from outerloop.gate.simulate.scenario import NEW
from outerloop.gate.simulate.table import BOUND, LATER, SIZES, THIS, Row, table

# gate.md: ships a change that drops one eval by .3, that does not fix anything, blocks a good one; calls.
PUBLISHED = {
    (20, "one run each"): (0.36, 0.20, 0.50, 15, 14),
    (20, "retry up to 3"): (0.94, 0.78, 0.03, 22, 22),
    (20, "pass^5"): (0.01, 0, 0.93, 33, 22),
    (20, "10 trials, ≥ base − .2"): (0.28, 0.01, 0.14, 152, 82),
    (20, "suite mean z-test"): (0.89, 0.09, 0.06, 204, 203),
    (20, "SPRT .05/.05"): (0.016, 0, 0.06, 277, 98),
    (20, "fixed n, same guarantee"): (0.004, 0, 0, 1493, 322),
    (20, THIS): (0.003, 0, 0.0055, 492, 165),
    (20, LATER): (0, None, None, 714, None),
    (20, BOUND): (None, None, None, 421, None),
    (200, "one run each"): (None, None, 0.999, None, None),
    (200, "retry up to 3"): (0.75, None, None, None, None),
    (200, "SPRT .05/.05"): (None, None, 0.46, None, None),
    (200, THIS): (0.0025, 0, 0.01, 4691, 1066),
    (200, BOUND): (None, None, None, 4121, None),
    (2000, "fixed n, same guarantee"): (None, None, None, 195_623, None),
    (2000, THIS): (0.0025, 0, 0.05, 46_517, 10_466),
    (2000, BOUND): (None, None, None, 40_917, None),
}
PUBLISHED_LIFE = "199 of 200 good, no regression, no cosmetic one"
PUBLISHED_PERSISTENT = "100 % for the other rules; this gate 2 %, then a good one in 95 to 100 %, 1,100 calls"
PUBLISHED_EVER = 0.0436


def microseconds_a_step(evals: int, width: int = 1) -> float:
    """Of choosing, starting and counting a trial, and of tossing the coin that stands for the agent.

    In processor time: a machine that is busy with other things changes nothing.
    """
    rng = random.Random(1)  # noqa: S311 (a bench wants to be repeatable)
    world = suite_world(evals, rng)
    rates = {p.eval_id: rate for p, rate in zip(world.priors, world.rates, strict=True)}
    case = Case(new=NewEval(eval_id=NEW, bar=world.bar, variants=3), priors=world.priors, seed="bench")
    court = Confirmation(case, Terms(alpha=alpha_of(1), trials_a_decision=UNCAPPED))
    running: list[tuple[Trial, bool]] = []
    spent, steps, step = 0.0, 0, None
    while True:
        start = time.process_time()
        while len(running) < width and isinstance(step := court.next_trial(), Trial):
            court.started(step)
            running.append((step, rng.random() < rates.get(step.eval_id, world.new)))
        spent += time.process_time() - start
        if step is not None and not isinstance(step, Trial):
            return 1e6 * spent / steps
        trial, passed = running.pop(rng.randrange(len(running)))
        start = time.process_time()
        court.finished(trial, passed=passed)
        spent += time.process_time() - start
        steps += 1


def ever_ships_at_the_bar() -> float:
    """P(any of 1,000 proposals ships whose weakest eval fell exactly to its bar): exact, no sampling."""
    alphas = np.array([alpha_of(k) for k in range(1, INDICES + 1)])
    return ever(certified_at_the_bar(bets([(98.5 / 101 - 0.25, 98, 100)])[0], alphas))


def line(row: Row) -> str:
    ours = (row.ships_bad, row.ships_unfixed, row.blocks_good, row.calls_good, row.calls_bad)
    theirs = PUBLISHED.get((row.evals, row.gate), (None,) * 5)
    cells = [f"{_cell(a)} ({_cell(b)})" for a, b in zip(ours, theirs, strict=True)]
    return f"{row.evals:>5}  {row.gate:<28}" + "".join(f"{cell:>20}" for cell in cells)


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value > 1 else f"{value:.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the decisions; .05 is the short form")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="suites of so many evals")
    args = parser.parse_args()
    say = sys.stdout.write
    start = time.perf_counter()
    say("Ours, and in brackets the published figure.\n")
    columns = ("ships drop .3", "ships unfixed", "blocks good", "calls good", "calls bad")
    say(f"{'evals':>5}  {'gate':<28}" + "".join(f"{column:>20}" for column in columns) + "\n")
    rows: list[Row] = []
    for size in args.sizes:
        rows += (found := table((size,), share=args.share))
        say("".join(line(row) + "\n" for row in found))
    for row in rows:
        if row.gate == THIS:
            say(f"cosmetic change, {row.evals} evals: {row.calls_unfixed:.1f} calls (7)\n")
    mixed, persistent = lives(share=args.share)
    say(f"mixed life: shipped {mixed.shipped} of {mixed.proposed} ({PUBLISHED_LIFE})\n")
    for each in persistent:
        say(f"persistent: {each}\n")
    say(f"            ({PUBLISHED_PERSISTENT})\n")
    at_bar = ever_ships_at_the_bar()
    say(f"any of 1,000 at the bar ever ships: {at_bar:.4f} ({PUBLISHED_EVER}; bound .05)\n")
    steps = {width: microseconds_a_step(2000, width) for width in (1, 64)}
    say("".join(f"µs a step at 2,000 evals, {w} at once: {us:.1f} (< 50)\n" for w, us in steps.items()))
    result = {
        "bench": "gate",
        "table": [asdict(row) for row in rows],
        "life": asdict(mixed),
        "persistent": [asdict(each) for each in persistent],
        "ever_at_the_bar": at_bar,
        "us_per_step": steps,
        "seconds": round(time.perf_counter() - start, 1),
    }
    say(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
