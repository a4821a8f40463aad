"""kill -9 in the middle of sessions, by the same code that `make bench-propose` measures with."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from bench.propose.kills import accepted, environment, kills, prepare, working
from engines.repositories import agent_repository
from outerloop.cli import kafka
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.dev.messages_api import Dice, Fault, MessagesApi, Reply, serving
from outerloop.evals.expect.answer import AnswerContains
from outerloop.evals.model import Cassette, content_sha256
from outerloop.propose.app import CONSUMES
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.prices import Usage, price_of
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topic_of, topics
from outerloop.store import changes, evals, sessions
from outerloop.store.changes import State
from outerloop.store.migrate import migrate
from outerloop.store.sessions import StepState

MODEL = "claude-sonnet-5-5"
# Each run asks the model once, and answers with what it says: the agent's own settings.
ASKING = b"""import json, os, pathlib, sys, time, urllib.request
sys.stdin.readline()
def post(url, body, **headers):
    headers = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
text = pathlib.Path("prompts/policy.md").read_text() + pathlib.Path("settings.yaml").read_text()
asked = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
said = json.loads(post(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", asked,
                       x_api_key=os.environ["ANTHROPIC_API_KEY"], anthropic_version="2023-06-01"))
parts = [{"type": "text", "content": said["content"][0]["text"]}]
parts = json.dumps([{"role": "assistant", "parts": parts}])
named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.output.messages": parts}
span = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "invoke_agent",
        "startTimeUnixNano": str(time.time_ns()), "endTimeUnixNano": str(time.time_ns()),
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in named.items()]}
spans = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
post(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces", spans)
"""
TERMS = """run: [python, agent.py]
test: [python, -c, pass]
mutable: [prompts/**, settings.yaml]
models: {anthropic: claude-sonnet-5-5}
knobs: [{path: settings.yaml, key: turns, values: [5]}, {path: settings.yaml, key: effort, values: [high]}]
"""
NO_GOOD = {"path": "prompts/policy.md", "old": "Be kind.", "new": "Be exact."}
AUTHORS = 3  # calls of the proposer's model
FINISH = {"diagnosis": "d", "cause": "c", "risk": "r", "confidence": 0.8}


def settings_of(tansu: str, chdb: str) -> Settings:
    return Settings(
        kafka=tansu,
        kafka_idempotent_producer=False,
        clickhouse=chdb,
        clickhouse_database=f"kills_{uuid.uuid4().hex[:8]}",
    )


async def ready(settings: Settings) -> None:
    await migrate(settings)
    dead = {dead_letter_topic(name, "propose"): 1 for name in CONSUMES}
    await kafka.create_topics(settings, dict.fromkeys(topics(), 1) | dead, 1)


async def test_whatever_is_killed_goes_on_and_pays_for_no_call_twice(
    tansu: str, chdb: str, tmp_path: Path
) -> None:
    settings = settings_of(tansu, chdb)
    await ready(settings)
    tally = await kills(settings, tmp_path, 2, seed=11)
    assert tally.kills == 2
    assert (tally.lost_sessions, tally.double_proposals, tally.calls_paid_twice) == (0, 0, 0)
    assert tally.wrong_patches == 0
    assert 0 <= tally.in_flight <= 2


class Both:
    """Plays the proposer's model and the agent's, whose calls after `some` of them are never answered."""

    def __init__(self, *some: int) -> None:
        self.some = list(some)
        self.api: MessagesApi | None = None
        self.authors = 0
        self.answered = 0
        self.hung: list[int] = []

    def __call__(self, request: dict[str, Any], dice: Dice) -> Reply:
        if "tools" in request:
            self.authors += 1
            turn = len(request["messages"]) // 2
            told = "".join(block["text"] for block in request["messages"][0]["content"])
            if "worked example" in told:
                return use("give_up", reason="no")
            return use("finish", **FINISH) if turn else use("edit_file", **NO_GOOD)
        self.answered += 1
        # Not while the proposer's model may be asked too: its calls are killed elsewhere.
        if self.api and self.some and self.answered >= self.some[0] and self.authors == AUTHORS:
            self.some.pop(0)
            self.hung.append(self.answered)
            self.api.inject(Fault(kind="hang", seconds=600))
        return {"content": [{"type": "text", "text": request["messages"][0]["content"]}]}


def use(name: str, **given: Any) -> Reply:
    return {"content": [{"type": "tool_use", "name": name, "input": given}]}


async def test_a_search_and_the_screening_of_candidates_go_on_after_the_last_run(
    tansu: str, chdb: str, tmp_path: Path
) -> None:
    settings = settings_of(tansu, chdb)
    await ready(settings)
    prepare()
    db = ClickHouse(settings)
    agent = f"agent-{uuid.uuid4().hex[:8]}"
    files = {
        "outerloop.yaml": f"agent: {agent}\n{TERMS}".encode(),
        "prompts/policy.md": b"Be kind.\n",
        "settings.yaml": b"turns: 3\neffort: low\n",
        "agent.py": ASKING,
    }
    await agent_repository(tmp_path, files)
    record = accepted(agent)
    eval_ = record.eval.model_copy(update={"format": 2, "expect": (AnswerContains(text="high"),)})
    said = {"eval_yaml": eval_.to_yaml(), "content_sha256": content_sha256(eval_, Cassette())}
    await evals.insert(db, type(record)(**{f: getattr(record, f) for f in record.__slots__} | said))
    # The search: one run of the first setting, three of the second; then three of each of two candidates.
    model, kills_ = Both(2, 3, 5, 8), 0
    async with serving(model) as api:
        model.api = api
        env = environment(settings, tmp_path / "cache", api.url) | {
            "OUTERLOOP_AGENTS": f"{agent}={tmp_path / 'remote'}",
            "OUTERLOOP_PROPOSE_CANDIDATES": "3",
        }
        ended = False
        while not ended:
            async with working(env) as saying:
                done = asyncio.create_task(asyncio.to_thread(saying.poll, 120))
                while not done.done() and (api.plan.faults or len(model.hung) == kills_):  # noqa: ASYNC110 - another process's work
                    await asyncio.sleep(0.02)
                ended = done.done()
                if ended:
                    assert await asyncio.to_thread(saying.recv) == "done"
                else:
                    kills_ += 1
            await done
    # Every run was paid for once, and only what was in flight was asked for again.
    assert (model.answered, model.authors, kills_) == (10, AUTHORS, 4)
    (change,) = await changes.of_agent(db, agent)
    assert (change.state, '+effort: "high"' in change.patch) == (State.PROPOSED, True)
    sent = await kafka.records(settings, topic_of(ChangeProposed).name)
    assert [e.patch for e in (ChangeProposed.FromString(r.value) for r in sent) if e.agent == agent] == [
        change.patch
    ]
    begun = await sessions.of_change(db, agent, change.change_id)
    assert sorted(s.strategy for s in begun) == ["example", "knobs", "prompt", "screening"]
    rows = [row for session in begun for row in await sessions.steps(db, session)]
    assert change.usd == pytest.approx(sum(row.usd for row in rows))
    # What a lost call may have cost is spent: nobody knows better.
    lost = [row.usd for row in rows if row.state is StepState.ASKED]
    least = price_of(MODEL).usd(Usage(0, 100))
    assert len(lost) == kills_
    assert min(lost) >= least
    await db.close()
