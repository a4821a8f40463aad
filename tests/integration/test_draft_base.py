"""Draft runs the base again: real git, a real run of a small agent, real ClickHouse. The bus only listens."""

import json
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

import samples
from engines.draft import Ear, delivery, record_runs
from engines.repositories import advance, agent_repository
from outerloop.cli.cases import proof_of
from outerloop.contracts.v1.eval_pb2 import (
    REPRODUCTION_NOT_REPRODUCED,
    REPRODUCTION_REPRODUCED,
    REVIEW_ACCEPT,
    EvalAccepted,
    EvalDrafted,
    EvalReviewed,
    EvalUndraftable,
)
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.dev.messages_api import Dice, Reply, serving
from outerloop.draft import proving
from outerloop.draft.app import Drafter
from outerloop.draft.base import Base
from outerloop.draft.proving import Proving
from outerloop.draft.settings import DraftSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.git import Repository
from outerloop.store import drafting, evals, heldout
from outerloop.store.evals import EvalRecord, Reproduction, State
from outerloop.store.migrate import migrate

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Answers as prompts/answer.md has it: an agent of one span.
AGENT = """
import json, os, sys, time, urllib.request

answer = open("prompts/answer.md").read().strip()
wish = json.loads(sys.stdin.readline())["messages"]
said = [{"role": "assistant", "parts": [{"type": "text", "content": answer}]}] if answer else []
now = str(time.time_ns())
told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shop",
        "gen_ai.input.messages": json.dumps(wish), "gen_ai.output.messages": json.dumps(said)}
attributes = [{"key": k, "value": {"stringValue": v}} for k, v in told.items()]
span = {"traceId": "ab" * 16, "spanId": "12" * 8, "name": "run", "startTimeUnixNano": now,
        "endTimeUnixNano": now, "attributes": attributes}
body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
print(json.dumps({"answer": answer}))
"""
TERMS = "agent: {agent}\nrun: [python, -S, agent.py]\nmutable: [prompts/**]\nreview: {review}\n"
ASKED = "Where is my parcel 17?"


class World:
    """An agent that says nothing, its repository, and the service that drafts for it."""

    def __init__(self, agent: str, remote: Repository, settings: DraftSettings, db: ClickHouse) -> None:
        self.agent, self.remote, self.settings, self.db, self.bus = agent, remote, settings, db, Ear()
        self.paused = ""
        self.drafter = Drafter(settings, self.bus, db, self.why)

    async def why(self, agent: str) -> str:
        assert agent
        return self.paused

    async def opens(self, name: str, *calls: samples.Call) -> EvalRecord:
        mode = f"{self.agent}-{name}"
        failing = [samples.run(n, ASKED, *calls, answer="", agent=self.agent) for n in numbers(3)]
        healthy = [samples.run(n, ASKED, answer="At the depot.", agent=self.agent) for n in numbers(4)]
        await record_runs(self.db, failing, mode=mode)
        await record_runs(self.db, healthy)
        opened = ModeOpened(mode_id=mode, agent=self.agent, title="no answer")
        await self.drafter.handle([delivery(opened, mode)])
        return next(r for r in await evals.of_agent(self.db, self.agent) if r.mode_id == mode)

    async def proven(self, record: EvalRecord) -> EvalRecord:
        await self.drafter.proving.work_once()
        now = await evals.get(self.db, record.eval_id)
        assert now is not None
        return now


def numbers(count: int) -> list[int]:
    return [uuid.uuid4().int % 10**8 for _ in range(count)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(chdb: str) -> AsyncIterator[tuple[ClickHouse, dict[str, Any]]]:
    where: dict[str, Any] = {"clickhouse": chdb, "clickhouse_database": f"draft_{uuid.uuid4().hex[:8]}"}
    await migrate(DraftSettings(**where))
    db = ClickHouse(DraftSettings(**where))
    yield db, where
    await db.close()


async def world_of(
    engine: tuple[ClickHouse, dict[str, Any]],
    folder: Path,
    *,
    answer: str = "",
    review: str = "required",
    **asking: Any,
) -> World:
    db, where = engine
    agent = f"agent-{uuid.uuid4().hex[:8]}"
    files = {
        "outerloop.yaml": TERMS.format(agent=agent, review=review).encode(),
        "agent.py": AGENT.encode(),
        "prompts/answer.md": answer.encode(),
    }
    remote, _ = await agent_repository(folder, files)
    more: dict[str, Any] = {
        "agents": f"{agent}={folder / 'remote'}",
        "cache": folder / "draft",
        "sandbox": "none",
    }
    settings = DraftSettings(**where, **more | asking | {"agent_environment": Path(sys.prefix)})
    return World(agent, remote, settings, db)


async def test_a_draft_that_the_base_fails_reproduces(engine: Any, tmp_path: Path) -> None:
    world = await world_of(engine, tmp_path)
    record = await world.opens("m1")
    assert (record.state, world.bus.heard) == (State.PROVING, [])  # nobody looks at it yet
    found = await world.proven(record)
    assert (found.state, found.reproduction) == (State.DRAFTED, Reproduction.REPRODUCED)
    assert (found.base_passed, found.base_trials) == (0, 6)
    assert found.base_commit == await world.remote.resolve("main")
    (said,) = world.bus.said
    assert isinstance(said, EvalDrafted)
    assert (said.proof.reproduction, said.proof.base_trials) == (REPRODUCTION_REPRODUCED, 6)
    (paid,) = await drafting.of_mode(world.db, record.mode_id)
    assert paid.outcome.startswith("reproduced: 0 of 6 trials")
    await world.drafter.proving.work_once()
    assert len(world.bus.said) == 1


async def test_a_reviewer_hears_that_no_sandbox_answers_what_is_not_recorded(
    engine: Any, tmp_path: Path
) -> None:
    world = await world_of(engine, tmp_path)
    called = await world.proven(await world.opens("m1", samples.Call("track", {"id": "17"})))
    assert called.reason.startswith("outerloop.yaml names no tools.sandbox")
    assert f"Noted: {called.reason}." in proof_of(called)
    assert (await world.proven(await world.opens("m2"))).reason == ""  # there is nothing to record


async def test_a_draft_that_the_base_passes_never_gates(engine: Any, tmp_path: Path) -> None:
    world = await world_of(engine, tmp_path, answer="At the depot.")
    found = await world.proven(await world.opens("m1"))
    assert (found.state, found.reproduction) == (State.DRAFTED, Reproduction.NOT_REPRODUCED)
    assert not replace(found, state=State.ACCEPTED).gates
    (said,) = world.bus.said
    assert isinstance(said, EvalDrafted)
    assert said.proof.reproduction == REPRODUCTION_NOT_REPRODUCED


def picky_agent() -> bytes:
    """Answers about parcels from 30 on: what went wrong with those was something else."""
    knows = 'answer = "At the depot." if "parcel 3" in json.dumps(wish) else ""\nsaid ='
    return AGENT.replace("said =", knows).encode()


async def opens_with(world: World, name: str, *parcels: int) -> EvalRecord:
    """A mode with a failure for each of these parcels, the oldest first."""
    mode = f"{world.agent}-{name}"
    for run, parcel in zip(sorted(numbers(len(parcels))), parcels, strict=True):
        failed = samples.run(run, f"Where is my parcel {parcel}?", answer="", agent=world.agent)
        await record_runs(world.db, [failed], mode=mode)
    good = [samples.run(n, ASKED, answer="At the depot.", agent=world.agent) for n in numbers(4)]
    await record_runs(world.db, good)
    opened = ModeOpened(mode_id=mode, agent=world.agent, title="no answer")
    await world.drafter.handle([delivery(opened, mode)])
    (record,) = await evals.of_agent(world.db, world.agent, State.PROVING)
    return record


async def test_where_the_base_passes_a_draft_another_failure_of_the_mode_is_taken(
    engine: Any, tmp_path: Path
) -> None:
    world = await world_of(engine, tmp_path)
    await advance(world.remote, {"agent.py": picky_agent()})
    first = await opens_with(world, "m1", 31, 17, 32, 18)
    assert "parcel 31" in first.eval_yaml
    aside = await world.proven(first)
    (second,) = await evals.of_agent(world.db, world.agent, State.PROVING)
    assert (aside.state, world.bus.said) == (State.SET_ASIDE, [])  # nobody need look at it
    trials = f"{aside.base_trials} of {aside.base_trials} trials of {aside.base_commit[:12]} pass it"
    assert aside.reason == f"{trials}: eval {second.eval_id} was drafted in its place"
    found = await world.proven(second)
    assert "parcel 17" in found.eval_yaml
    assert (found.state, found.reproduction, found.tries) == (State.DRAFTED, Reproduction.REPRODUCED, 2)
    assert [said.eval_id for said in world.bus.said if isinstance(said, EvalDrafted)] == [found.eval_id]
    await world.drafter.proving.work_once()
    assert len(world.bus.said) == 1
    assert "Accepted, it is kept and never gates a change." in " ".join(proof_of(aside))
    keep = EvalReviewed(
        eval_id=aside.eval_id,
        agent=world.agent,
        review=REVIEW_ACCEPT,
        reviewer="ada",
        content_sha256=aside.content_sha256,
    )
    await world.drafter.handle([delivery(keep, "review")])
    (_, kept) = world.bus.said  # and its mode goes the way of the other one: it is not parked
    assert isinstance(kept, EvalAccepted)


async def test_a_mode_that_the_base_does_not_fail_is_put_before_a_person_and_then_parked(
    engine: Any, tmp_path: Path
) -> None:
    world = await world_of(engine, tmp_path, answer="At the depot.", draft_tries=2)
    first = await opens_with(world, "m1", 31, 17, 32)
    assert (await world.proven(first)).state is State.SET_ASIDE
    (second,) = await evals.of_agent(world.db, world.agent, State.PROVING)
    found = await world.proven(second)
    assert (found.state, found.reproduction) == (State.DRAFTED, Reproduction.NOT_REPRODUCED)
    review = EvalReviewed(
        eval_id=found.eval_id,
        agent=world.agent,
        review=REVIEW_ACCEPT,
        reviewer="ada",
        content_sha256=found.content_sha256,
    )
    for _ in range(2):  # also redelivered
        await world.drafter.handle([delivery(review, "review")])
    (_, *heard) = world.bus.heard
    assert heard[:2] == heard[2:]
    assert isinstance(heard[0][1], EvalAccepted)
    parked = heard[1][1]
    assert isinstance(parked, EvalUndraftable)
    assert parked.mode_id == found.mode_id
    assert parked.reason.startswith(f"eval {found.eval_id} is kept and never gates: ")
    assert parked.reason.endswith("pass it; `outerloop modes open` has another one drafted")


async def test_the_base_is_not_run_again_where_only_the_other_draft_was_missing(
    engine: Any, tmp_path: Path
) -> None:
    world = await world_of(engine, tmp_path, answer="At the depot.")
    first = await opens_with(world, "m1", 31, 17)
    asked = list[str]()

    async def away_at_first(record: EvalRecord) -> EvalRecord | None:
        asked.append(record.eval_id)
        if len(asked) == 1:
            raise OutageError("the model is away")
        return None

    proving = Proving(world.settings, world.bus, world.db, Base(world.settings, world.db), away_at_first)
    await proving.work_once()
    waits = await evals.get(world.db, first.eval_id)
    assert waits is not None
    assert (waits.state, waits.reproduction) == (State.PROVING, Reproduction.NOT_REPRODUCED)
    again = Proving(world.settings, world.bus, world.db, Base(world.settings, world.db), away_at_first)
    await again.work_once()
    now = await evals.get(world.db, first.eval_id)
    assert now is not None
    assert (now.state, now.reproduction) == (State.DRAFTED, Reproduction.NOT_REPRODUCED)
    assert asked == [first.eval_id] * 2
    assert len(await drafting.of_mode(world.db, first.mode_id)) == 1


async def test_where_the_repository_is_not_as_it_must_be_the_gate_will_ask(
    engine: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = await world_of(engine, tmp_path)
    await advance(world.remote, {"outerloop.yaml": b"agent: [\n"})
    found = await world.proven(await world.opens("m1"))
    assert (found.state, found.reproduction) == (State.DRAFTED, Reproduction.UNASKED)
    assert "is not run on the base: outerloop.yaml at" in caplog.text
    assert "Noted: the release branch could not be run: outerloop.yaml at" in " ".join(proof_of(found))


async def test_an_agent_that_does_not_run_here_reproduces_nothing(engine: Any, tmp_path: Path) -> None:
    world = await world_of(engine, tmp_path)
    await advance(world.remote, {"agent.py": b"import a_package_that_is_not_here\n"})
    found = await world.proven(await world.opens("m1"))
    assert (found.state, found.reproduction, found.base_trials) == (State.DRAFTED, Reproduction.UNASKED, 0)
    (noted,) = [said for said in proof_of(found) if said.startswith("Noted: ")]
    told = ("ran 3 times and sent no trace", "a_package_that_is_not_here", "OUTERLOOP_AGENT_ENVIRONMENT")
    assert all(part in noted for part in told)


async def test_a_paused_agents_base_is_not_run(
    engine: tuple[ClickHouse, dict[str, Any]], tmp_path: Path
) -> None:
    world = await world_of(engine, tmp_path)
    record = await world.opens("paused")
    world.paused = "the loop is paused by ada"
    assert (await world.proven(record)).state is State.PROVING
    world.paused = ""
    assert (await world.proven(record)).state is State.DRAFTED


async def test_an_outage_is_waited_for_and_not_for_ever(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await world_of(engine, tmp_path)
    record = await world.opens("m1")
    (tmp_path / "remote").rename(tmp_path / "away")
    monkeypatch.setattr(proving, "AFTER_OUTAGE", timedelta(0))
    monkeypatch.setattr(proving, "OUTAGES", 3)
    states = [(await world.proven(record)).state for _ in range(3)]
    assert states == [State.PROVING, State.PROVING, State.DRAFTED]


async def test_the_policy_accepts_what_a_person_has_accepted_the_like_of(engine: Any, tmp_path: Path) -> None:
    world = await world_of(engine, tmp_path, review="auto")
    first = await world.proven(await world.opens("m1"))
    assert first.state is State.DRAFTED  # nobody has accepted one on that sign
    await evals.insert(world.db, replace(first, state=State.ACCEPTED, reviewer="ada", eval_yaml=other(first)))
    second = await world.proven(await world.opens("m2"))
    assert (second.state, second.reviewer) == (State.ACCEPTED, "review: auto")
    assert second.reason == f"as ada accepted eval {first.eval_id} for the same sign"
    assert second.eval.provenance.accepted_by == "review: auto"
    assert isinstance(world.bus.said[-1], EvalAccepted)


def other(record: EvalRecord) -> str:
    """Its text with a source that is not recorded: it can catch no other mode."""
    eval_ = record.eval
    provenance = eval_.provenance.model_copy(
        update={"source_traces": ("f" * 32,), "accepted_at": datetime.now(UTC)}
    )
    return eval_.model_copy(update={"provenance": provenance}).to_yaml()


async def test_a_variant_that_the_base_passes_is_none(engine: Any, tmp_path: Path) -> None:
    world = await world_of(engine, tmp_path)
    await advance(world.remote, {"agent.py": picky_agent()})
    record = await opens_with(world, "m1", 17, 18, 31, 19, 32)
    before = await heldout.entry_of(world.db, record)
    asks = [str(held.variant.input) for held in before.held_out]
    assert [("parcel 3" in each) for each in asks] == [True, False]
    found = await world.proven(record)
    after = await heldout.entry_of(world.db, found)
    assert (found.reproduction, found.variants) == (Reproduction.REPRODUCED, 1)
    assert after.held_out == before.held_out[1:]
    told = sorted(call.outcome.split(":")[0] for call in await drafting.of_mode(world.db, record.mode_id))
    assert told == ["reproduced", "variant 1", "variant 2"]


async def test_the_request_in_other_words_is_a_variant_if_it_is_of_the_same_case(
    engine: Any, tmp_path: Path
) -> None:
    asked: list[str] = []

    def reply(request: dict[str, Any], dice: Dice) -> Reply:
        name = request["tool_choice"]["name"]
        asked.append(json.dumps(request["messages"]))
        said = ["Parcel 17 has not come.", "Parcel 18 has not come.", 7]
        given = {"reword": {"requests": said}, "propose_eval": {"expect": []}}[name]
        return {"content": [{"type": "tool_use", "name": name, "input": given}]}

    async with serving(reply) as api:
        asking: dict[str, Any] = {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": SecretStr("key"),
            "draft_model": "claude-sonnet-5-5",
            "draft_model_calls": 1,
        }
        world = await world_of(engine, tmp_path, **asking)
        record = await world.opens("m1")
    (held,) = (await heldout.entry_of(world.db, record)).held_out
    assert held.variant.input["messages"][0]["parts"] == [
        {"type": "text", "content": "Parcel 17 has not come."}
    ]
    assert held.variant.expect == ()
    assert ASKED in asked[1]
    calls = await drafting.of_mode(world.db, record.mode_id)
    assert [(call.prompt, call.outcome) for call in calls[1:]] == [("reword/1", "2 wordings")]
    assert all(call.usd > 0 for call in calls)
