"""`make bench-propose`: the harness of propose, measured; one JSON line at the end.

A script plays the repairing model, and scripts play the agents' models. So a success rate here is no model's:
it says whether the harness puts before a model what it needs to know. See author.py for why that can fail.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.propose.contexts import BLIND, COMPOSED, DUMPED
from bench.propose.flaws import FLAWS, Flaw
from bench.propose.kills import kills
from bench.propose.overhead import overhead
from bench.propose.repairing import Base, Garage, Outcome, Repair, Told, added, models
from engines.embedded import Chdb, Tansu
from outerloop.cli import kafka
from outerloop.dev.messages_api import serving
from outerloop.propose.app import CONSUMES
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topics
from outerloop.store.migrate import migrate

WHO = "scripts play all models: success here measures the harness, not a model"
TARGET = {"overhead_ms": 30.0, "context_share": 0.25}
Say = Callable[[str], None]


async def repairs(flaws: Sequence[Flaw], say: Say) -> dict[str, Any]:
    """Every flaw, told in each way: repaired or not, and in how many tokens."""
    # By kind of context: what it is, and whether an attempt is told of those before it.
    kinds = {
        "composed": (COMPOSED, True),
        "dumped": (DUMPED, True),
        "without_memory": (COMPOSED, False),
        "without_evidence": (BLIND, True),
    }
    outcomes: dict[str, list[Outcome]] = {name: [] for name in kinds}
    told: dict[str, list[Told]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory(prefix="bench-propose-", ignore_cleanup_errors=True) as folder:
        async with serving(models) as api:
            garage = Garage(api.url)
            bases: dict[str, Base] = {}
            for flaw in flaws:
                if flaw.agent not in bases:
                    bases[flaw.agent] = await Base.of(flaw.agent, Path(folder) / flaw.agent)
                evidence = await garage.evidence(flaw, bases[flaw.agent])
                for name, (context, memory) in kinds.items():
                    one = Repair(garage, flaw, bases[flaw.agent], context, memory=memory)
                    outcomes[name].append(await one.run(evidence))
                    told[name].append(one.told)
                line = ", ".join(f"{name} {outcomes[name][-1].attempt or 'no'}" for name in kinds)
                say(f"{flaw.agent}, {flaw.name}: repaired at attempt {line}")
    return _compared(outcomes, told)


def _compared(outcomes: dict[str, list[Outcome]], each_told: dict[str, list[Told]]) -> dict[str, Any]:
    told = {name: added(each) for name, each in each_told.items()}
    ours, naive = told["composed"], told["dumped"]
    pairs = zip(each_told["composed"], each_told["dumped"], strict=True)
    return {
        "flaws": len(outcomes["composed"]),
        "repaired": {name: sum(o.attempt > 0 for o in each) for name, each in outcomes.items()},
        "repaired_at_once": sum(o.attempt == 1 for o in outcomes["composed"]),
        "context_tokens": {name: told[name].context for name in ("composed", "dumped")},
        "context_share": round(ours.context / naive.context, 3),
        "context_share_worst": round(max(one.context / other.context for one, other in pairs), 3),
        "first_message_share": round(ours.first / naive.first, 3),
        "sent_share": round(ours.sent / naive.sent, 3),
        "cache_hit_rate": round(ours.read / ours.sent, 3),
    }


async def engines(folder: Path, rounds: int, sessions: int, say: Say) -> dict[str, Any]:
    """What needs a broker and ClickHouse: a step's overhead, and the kills."""
    tansu, chdb = Tansu(folder), Chdb(folder)
    try:
        tansu.start()
        chdb.start()
        settings = Settings(
            kafka=tansu.bootstrap,
            kafka_idempotent_producer=False,
            clickhouse=chdb.url,
            clickhouse_database=f"bench_{uuid.uuid4().hex[:8]}",
        )
        await migrate(settings)
        dead = {dead_letter_topic(name, "propose"): 1 for name in CONSUMES}
        await kafka.create_topics(settings, dict.fromkeys(topics(), 1) | dead, 1)
        steps = await overhead(settings, folder / "overhead", sessions)
        say(f"a step takes the harness {steps.median_ms} ms (median): {steps.by_tool_ms}")
        tally = await kills(settings, folder / "kills", rounds, seed=7)
        lost, twice = tally.lost_sessions, tally.calls_paid_twice
        say(f"{tally.kills} kills: {lost} sessions lost, {twice} calls paid twice")
        return {"overhead": asdict(steps), "kills": asdict(tally)}
    finally:
        tansu.kill()
        chdb.kill()


def main() -> int:
    """Measure, and say so; 0 if nothing is as it must not be."""
    parser = argparse.ArgumentParser(prog="make bench-propose", description=WHO)
    parser.add_argument("--kills", type=int, default=50, help="kill -9, at random moments of sessions")
    parser.add_argument("--sessions", type=int, default=20, help="whose steps are timed")
    parser.add_argument("--agents", nargs="*", default=["helpdesk", "rooms", "quotes"])
    given = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {text}\n")
        sys.stdout.flush()

    say(WHO)
    result = asyncio.run(_measure(given, say))
    missed = misses(result)
    for miss in missed:
        say(f"not as it must be: {miss}")
    sys.stdout.write(json.dumps({"bench": "propose", "models": WHO} | result | {"missed": missed}) + "\n")
    return int(bool(missed))


async def _measure(given: argparse.Namespace, say: Say) -> dict[str, Any]:
    found = {"repairs": await repairs([f for f in FLAWS if f.agent in given.agents], say)}
    with tempfile.TemporaryDirectory(prefix="bench-propose-", ignore_cleanup_errors=True) as folder:
        return found | await engines(Path(folder), given.kills, given.sessions, say)


def misses(result: dict[str, Any]) -> list[str]:
    """What is not as it must be, a clause each."""
    repaired, tally = result["repairs"], result["kills"]
    found = [f"{name} is {tally[name]}" for name in _NEVER if tally[name]]
    if tally["in_flight"] > tally["kills"]:
        found.append("more calls were lost than were in flight")
    if repaired["repaired"]["composed"] < max(repaired["repaired"]["dumped"], repaired["flaws"]):
        found.append("not everything was repaired that the evidence suffices for")
    if repaired["repaired"]["without_evidence"]:
        found.append("something was repaired without evidence: the comparison means nothing")
    if repaired["context_share"] > TARGET["context_share"]:
        found.append(f"context_share is {repaired['context_share']}")
    if result["overhead"]["median_ms"] > TARGET["overhead_ms"]:
        found.append(f"a step takes {result['overhead']['median_ms']} ms")
    return found


_NEVER = ("lost_sessions", "double_proposals", "calls_paid_twice", "wrong_patches")

if __name__ == "__main__":
    sys.exit(main())
