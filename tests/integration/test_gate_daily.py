"""What the gate asks of a release that nobody changed: other models, and the same model day by day."""

# ruff: noqa: F811 - pytest's fixtures
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from engines.repositories import advance
from integration.test_gate import Court, court, database, db, make, model  # noqa: F401 - fixtures
from integration.test_gate_check import cloned, committed, outerloop
from outerloop.contracts.v1.release_pb2 import FINDING_DRIFTED, ReleaseWatched
from outerloop.gate.court.rows import Rows
from outerloop.gate.production.sentinel import Sentinel
from outerloop.gate.trials.runner import Checkouts, Here
from outerloop.runtime.bus import Bus
from outerloop.store import sentinel
from outerloop.store.sentinel import Day
from outerloop.trial.isolation import Unconfined
from outerloop.trial.sandbox import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


def watcher(court: Court, folder: Path) -> Sentinel:
    settings = court.settings.model_copy(update={"gate_sentinel_trials": 2})
    here = Here(settings, Sandbox(Unconfined()), Checkouts(court.remote, folder), Rows(court.db))
    return Sentinel(settings, cast(Bus, court.hand), court.db, here)


async def test_a_day_is_tried_once_and_enough_bad_days_are_an_alarm(court: Court, tmp_path: Path) -> None:
    await court.gate().handle([court.delivery()])
    await court.remote.fetch()
    today = watcher(court, tmp_path)
    for _ in range(2):
        await today.look_at(court.agent)
    (day,) = (await sentinel.latest(court.db, court.agent)).values()
    assert (day.passed, day.trials, day.alarm, day.days) == (1, 1, False, 1)
    assert day.evidence[0] < 1

    # As if yesterday had nearly been enough; and the agent fails now, as it would with a worse model.
    changed = {"day": day.day - timedelta(days=1), "evidence": (900.0,) * 3, "at": datetime.now(UTC)}
    agent = f"{court.agent}"
    await court.db.command(
        f"ALTER TABLE sentinel_days DELETE WHERE agent = '{agent}' SETTINGS mutations_sync = 1"
    )
    await sentinel.insert(court.db, [Day(**{name: getattr(day, name) for name in Day.__slots__} | changed)])
    await advance(court.remote, {"prompts/policy.md": b"Be long-winded.\n"})
    await court.remote.fetch()
    await today.look_at(court.agent)
    (day,) = (await sentinel.latest(court.db, court.agent)).values()
    assert (day.passed, day.alarm) == (0, True)
    said = [m for m, _ in court.hand.published if isinstance(m, ReleaseWatched)]
    assert [(m.finding, m.subject, m.traces, m.failures) for m in said] == [
        (FINDING_DRIFTED, day.stratum, 1, 1)
    ]


async def test_the_map_of_a_model_names_what_breaks(court: Court, tmp_path: Path) -> None:
    await court.gate().handle([court.delivery()])
    clone = cloned(court, tmp_path)
    same = await outerloop(court, clone, "gate", "model", "--to", "another-model", "--json")
    (eval_,) = json.loads(same.stdout)["evals"]
    assert (eval_["reading"], eval_["passed"]) == ("holds", eval_["trials"]), same.stderr
    committed(clone, "Be long-winded.\n")
    worse = await outerloop(
        court, clone, "gate", "model", "--to", "another-model", "--base", "HEAD", "--json"
    )
    (eval_,) = json.loads(worse.stdout)["evals"]
    assert (eval_["reading"], eval_["passed"]) == ("broken", 0), worse.stderr
    assert eval_["reasons"]
