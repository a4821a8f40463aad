"""kill -9 at random moments of sessions: what is lost, what is done twice, what is paid twice.

Each round is one eval of an agent of its own. A worker (see worker.py) is started on it and killed at a
moment drawn uniformly from the time that an undisturbed one takes; a second one then has to end it.
"""

import asyncio
import multiprocessing
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.propose import worker
from engines.repositories import AGENT, agent_repository
from outerloop.cli import kafka
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.dev.messages_api import Dice, Reply, serving
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.propose.memory import repeated
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topic_of
from outerloop.store import changes, evals, sessions
from outerloop.store.changes import State
from outerloop.store.evals import EvalRecord

FINISH = {"diagnosis": "d", "cause": "c", "risk": "r", "confidence": 0.8}
_LOOKS = 4
# A worker is forked from a process that has imported everything: a new one would take seconds for that.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["bench.propose.worker"])


def talkative(request: dict[str, Any], dice: Dice) -> Reply:
    """Looks around, edits two files, looks again, finishes: told by how far the conversation is."""
    del dice
    turn = len(request["messages"]) // 2
    edits = {
        2: {"path": "tools/refund.yaml", "old": "refunds", "new": "Refunds, to the card."},
        4: {"path": "prompts/policy.md", "old": "Rule 7: be kind.", "new": "Rule 7: be exact."},
    }
    if turn in edits:
        return {"content": [{"type": "tool_use", "name": "edit_file", "input": edits[turn]}]}
    if turn < max(edits) + _LOOKS:
        look = {"path": "prompts/policy.md"} if turn % 2 else {"path": "tools/refund.yaml"}
        return {"content": [{"type": "tool_use", "name": "read_file", "input": look}]}
    return {"content": [{"type": "tool_use", "name": "finish", "input": FINISH}]}


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of all rounds; everything but `kills`, `calls`, `in_flight` and seconds should be 0.

    Seconds of the process that took over: `resume` to its first call of the model (to its end, where none was
    left to make), `rest` to its end, both from when it was connected.
    """

    kills: int = 0
    lost_sessions: int = 0
    double_proposals: int = 0
    calls_paid_twice: int = 0
    wrong_patches: int = 0
    calls: int = 0
    in_flight: int = 0
    resume_seconds_median: float = 0.0
    rest_seconds_median: float = 0.0
    undisturbed_seconds: float = 0.0


async def kills(settings: Settings, folder: Path, rounds: int, *, seed: int) -> Tally:
    """Play so many rounds; the schema and the topics of `settings` are there."""
    prepare()
    chance = random.Random(seed)  # noqa: S311 - repeatable moments
    asked: list[float] = []

    def model(request: dict[str, Any], dice: Dice) -> Reply:
        asked.append(time.perf_counter())
        return talkative(request, dice)

    tally, resumed, rests = Tally(), list[float](), list[float]()
    db = ClickHouse(settings)
    async with serving(model) as api:
        play = _Play(settings, db, folder, api.url)
        began, ended = await play.whole(f"agent-{uuid.uuid4().hex[:8]}")
        usual = ended - began
        patch = play.patch
        for _ in range(rounds):
            agent = f"agent-{uuid.uuid4().hex[:8]}"
            before = len(asked)
            began, ended = await play.whole(agent, kill_after=chance.uniform(0, usual))
            resumed.append(next((at for at in asked[before:] if at > began), ended) - began)
            rests.append(ended - began)
            tally = await play.counted(tally, agent, len(asked) - before, patch)
    await db.close()
    return replace(
        tally,
        resume_seconds_median=round(statistics.median(resumed), 3),
        rest_seconds_median=round(statistics.median(rests), 3),
        undisturbed_seconds=round(usual, 3),
    )


def prepare() -> None:
    """Before the first worker: the fork server goes by nothing but the environment."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)


class _Play:
    """One round after the other."""

    def __init__(self, settings: Settings, db: ClickHouse, folder: Path, model_url: str) -> None:
        self._settings = settings
        self._db = db
        self._folder = folder
        self._model_url = model_url
        self.patch = ""

    async def whole(self, agent: str, kill_after: float | None = None) -> tuple[float, float]:
        """An eval, from its acceptance to its change; when the last worker began on it and ended it."""
        remote = self._folder / agent
        terms = f"agent: {agent}\nrun: [python]\nmutable: [prompts/**, tools/*.yaml]\n".encode()
        await agent_repository(remote, AGENT | {"outerloop.yaml": terms})
        await evals.insert(self._db, accepted(agent))
        if kill_after is not None:
            async with self._working(agent, remote):
                await asyncio.sleep(kill_after)
        async with self._working(agent, remote) as said:
            began = time.perf_counter()
            assert await asyncio.to_thread(said.recv) == "done"
            ended = time.perf_counter()
        self.patch = "".join(change.patch for change in await changes.of_agent(self._db, agent))
        return began, ended

    async def counted(self, tally: Tally, agent: str, calls: int, patch: str) -> Tally:
        """The tally with what came of one round."""
        known = await changes.of_agent(self._db, agent)
        sent = await kafka.records(self._settings, topic_of(ChangeProposed).name)
        events = [ChangeProposed.FromString(record.value) for record in sent]
        ids = {(event.change_id, event.patch) for event in events if event.agent == agent}
        paid = await self._steps(agent, known[0].change_id) if known else []
        steps = len({row.step for row in paid})
        return replace(
            tally,
            kills=tally.kills + 1,
            lost_sessions=tally.lost_sessions + (not known or known[0].state is not State.PROPOSED),
            double_proposals=tally.double_proposals + max(0, len(ids) - 1) + max(0, len(known) - 1),
            calls_paid_twice=tally.calls_paid_twice + repeated(paid) + max(0, calls - steps - 1),
            wrong_patches=tally.wrong_patches + (not known or known[0].patch != patch),
            calls=tally.calls + calls,
            in_flight=tally.in_flight + calls - steps,
        )

    async def _steps(self, agent: str, change_id: str) -> list[sessions.StepRecord]:
        begun = await sessions.of_change(self._db, agent, change_id)
        found = [await sessions.steps(self._db, session) for session in begun]
        return [row for rows in found for row in rows if row.state is not sessions.StepState.ASKED]

    @asynccontextmanager
    async def _working(self, agent: str, remote: Path) -> AsyncIterator[Connection]:
        """A worker that has begun; killed on leaving."""
        settings = self._settings
        env = environment(settings, self._folder / "cache", self._model_url)
        async with working(env | {"OUTERLOOP_AGENTS": f"{agent}={remote / 'remote'}"}) as said:
            yield said


def environment(settings: Settings, cache: Path, model_url: str) -> dict[str, str]:
    """What a worker is told, but for its agents."""
    return {
        "PATH": os.environ["PATH"],
        "OUTERLOOP_KAFKA": settings.kafka,
        "OUTERLOOP_KAFKA_IDEMPOTENT_PRODUCER": str(settings.kafka_idempotent_producer),
        "OUTERLOOP_CLICKHOUSE": settings.clickhouse,
        "OUTERLOOP_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "OUTERLOOP_CACHE": str(cache),
        "OUTERLOOP_SANDBOX": "none",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": model_url,
    }


@asynccontextmanager
async def working(env: Mapping[str, str]) -> AsyncIterator[Connection]:
    """A worker that has begun; killed on leaving."""
    ours, theirs = multiprocessing.Pipe()
    process = _CONTEXT.Process(target=worker.run, args=(env, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        assert await asyncio.to_thread(ours.recv) == "working"
        yield ours
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        ours.close()


def accepted(agent: str) -> EvalRecord:
    """An eval that a person has accepted."""
    now = datetime.now(UTC)
    provenance = Provenance(drafted_by="draft", drafted_at=now, source_traces=("t",))
    eval_ = Eval(
        id=uuid.uuid4().hex,
        agent=agent,
        mode_id="m1",
        title="It answers",
        input={},
        expect=(Answered(),),
        provenance=provenance,
    )
    return EvalRecord(
        eval_id=eval_.id,
        agent=agent,
        mode_id="m1",
        title=eval_.title,
        state=evals.State.ACCEPTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl="",
        content_sha256=content_sha256(eval_, Cassette()),
        failing_caught=1,
        failing=1,
        healthy_passed=1,
        healthy=1,
        reviewer="r",
        at=now,
    )
