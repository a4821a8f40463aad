"""The production decision code on simulated agents, against the published figures within sampling error."""

# ruff: noqa: S311 (simulated agents are to be the same in every run)

import json
import random
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from outerloop.cli import gate as gate_cli
from outerloop.gate.core.case import Outcome, Terms
from outerloop.gate.core.spending import alpha_of
from outerloop.gate.simulate.lives import mixed_life, persistent_against, persistent_lives, shipped_on
from outerloop.gate.simulate.play import UNCAPPED, decide, run_scenario
from outerloop.gate.simulate.population import Change, changed, suite_world
from outerloop.gate.simulate.rivals import PERSISTENT_RULES
from outerloop.gate.simulate.scenario import Scenario
from outerloop.gate.simulate.table import table
from outerloop.runtime.errors import UserError

EVAL = {"bar": 0.75, "anchor": 0.99, "history": [98, 100], "candidate": 0.99}
NEW = {"bar": 0.75, "base": 0.3, "candidate": 0.97, "held_out": 0.95}


def scenario(decisions=200, **change):
    evals = [{"id": f"e{i}"} | EVAL for i in range(20)]
    return {
        "seed": 7,
        "decisions": decisions,
        "delta": 0.05,
        "failed_before": 0,
        "suite": evals,
        "new": NEW,
    } | change


def answer(document):
    return run_scenario(Scenario.from_json(json.dumps(document)))


def test_a_good_change():
    good = answer(scenario())
    assert good.ship > 0.97
    assert good.ship + good.reject + good.inconclusive == pytest.approx(1)
    assert good.lower_bound < good.calls_mean < 1.25 * good.lower_bound
    assert good.calls_p90 > good.calls_mean


def test_a_bad_change_a_cosmetic_one_and_one_after_failures():
    document = scenario()
    document["suite"][5] = document["suite"][5] | {"candidate": 0.69}
    bad = answer(document)
    assert bad.ship <= 0.02
    assert bad.calls_mean < 200
    cosmetic = answer(scenario(new=NEW | {"candidate": 0.3, "held_out": 0.3}))
    assert cosmetic.ship == 0
    assert cosmetic.calls_mean < 15
    assert (
        answer(scenario(decisions=20, failed_before=9)).calls_mean > answer(scenario(decisions=20)).calls_mean
    )


def test_a_base_that_does_not_fail_the_new_eval():
    passes = answer(scenario(new=NEW | {"base": 0.97}))
    assert (passes.ship, passes.reject, passes.calls_mean, passes.lower_bound) == (0, 1, 0, 0)
    near = answer(scenario(new=NEW | {"base": 0.55}))
    assert (near.inconclusive, near.calls_p90) == (1, 0)


def test_the_same_seed_gives_the_same_answer():
    one, two = answer(scenario(decisions=20)), answer(scenario(decisions=20))
    assert (one.ship, one.calls_mean) == (two.ship, two.calls_mean)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (scenario(decisions=0), "decisions"),
        (scenario(delta=1.5), "delta"),
        (scenario(failed_before=1000), "failed_before"),
        (scenario(suite=[{"id": "a"} | EVAL, {"id": "a"} | EVAL]), "suite"),
        (scenario(suite=[{"id": "a"} | EVAL | {"history": [101, 100]}]), "suite.0.history"),
        (scenario(suite=[{"id": "a"} | EVAL | {"bar": 1.5}]), "suite.0.bar"),
        (scenario(suite=[EVAL]), "suite.0.id"),
        (scenario(new={"bar": 0.75}), "new.base"),
        (scenario(new=NEW | {"bar": 0.15}), "new.bar"),
        (scenario(extra=1), "extra"),
        ([], "the document"),
    ],
)
def test_a_wrong_scenario_names_the_field(document, field):
    with pytest.raises(UserError, match=f"file.json: {field}: "):
        Scenario.from_json(json.dumps(document), "file.json")


def test_figures_of_a_suite_of_20():
    rng = random.Random(20)
    calls = dict.fromkeys(Change, 0)
    ships = dict.fromkeys(Change, 0)
    for _ in range(300):
        world = suite_world(20, rng)
        for change in Change:
            verdict = decide(changed(world, change, rng), Terms(alpha=alpha_of(1)), rng)
            calls[change] += verdict.trials
            ships[change] += verdict.outcome is Outcome.SHIP
    assert calls[Change.GOOD] / 300 == pytest.approx(492, rel=0.04)
    assert calls[Change.BREAKS] / 300 == pytest.approx(165, rel=0.15)
    assert calls[Change.COSMETIC] / 300 == pytest.approx(7, abs=3)
    assert ships[Change.GOOD] >= 292  # published: .55 % blocked
    assert ships[Change.BREAKS] <= 5  # published: .3 %
    assert ships[Change.COSMETIC] == 0


def test_figures_of_a_suite_of_200():
    rng = random.Random(200)
    worlds = [suite_world(200, rng) for _ in range(12)]
    terms = Terms(alpha=alpha_of(1), trials_a_decision=UNCAPPED)
    verdicts = [decide(world, terms, rng) for world in worlds]
    assert sum(v.trials for v in verdicts) / 12 == pytest.approx(4691, rel=0.05)
    assert sum(v.outcome is Outcome.SHIP for v in verdicts) >= 10


def test_a_short_table_and_short_lives():
    rows = {row.gate: asdict(row) for row in table((20,), share=0.025)}
    assert rows["retry up to 3"]["ships_bad"] > 0.7
    assert rows["this gate"]["ships_unfixed"] == 0
    assert 390 < rows["lower bound"]["calls_good"] < rows["this gate"]["calls_good"]
    rng = random.Random(1)
    life = mixed_life(20, rng, 60)
    assert life.shipped.get("drops one eval by .3", 0) == 0
    assert life.shipped["good"] >= life.proposed["good"] - 2
    assert life.spent <= 60
    lives = persistent_lives(20, 2, rng, 40)
    assert lives.good_ships == 1
    assert all(persistent_against(rule, 20, 3, rng, 400) == 1 for rule in PERSISTENT_RULES.values())


def test_shipped_trials_become_history():
    world = suite_world(20, random.Random(1))
    verdict = decide(world, Terms(alpha=alpha_of(1)), random.Random(1))
    assert verdict.outcome is Outcome.SHIP
    counts = {claim.name: (claim.passes, claim.trials) for claim in verdict.claims}
    for old, new in zip(world.priors, shipped_on(world, verdict).priors, strict=True):
        passes, trials = counts[old.eval_id]
        assert (new.passes, new.trials) == (old.passes + passes, old.trials + trials)
        assert (new.bar, new.anchor) == (old.bar, old.anchor)


def test_the_command(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(scenario(decisions=5)))
    done = CliRunner().invoke(gate_cli.app, ["simulate", "--scenario", str(path), "--json"])
    assert done.exit_code == 0, done.output
    keys = {"ship", "reject", "inconclusive", "calls_mean", "calls_p90", "lower_bound", "seconds"}
    assert set(json.loads(done.output)) == keys
    missing = CliRunner().invoke(gate_cli.app, ["simulate", "--scenario", str(tmp_path / "none.json")])
    assert isinstance(missing.exception, UserError)
    assert "none.json" in str(missing.exception)
