"""Several candidates of one attempt, by different strategies: real runs of an agent decide between them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engines.repositories import agent_repository
from integration.test_propose_app import CHANGE, DONE, GIVE_UP, LOOK, TALK, Desk, Turn, agent_name, use
from integration.test_propose_app import desk as desk  # noqa: PLC0414 - the fixture
from outerloop.cli.sessions import _shown
from outerloop.dev.messages_api import Dice, Fault, Reply, serving
from outerloop.evals.expect.answer import AnswerContains
from outerloop.evals.model import Cassette, content_sha256
from outerloop.propose.ids import change_id
from outerloop.store import changes, evals, sessions
from outerloop.store.changes import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

# It asks no model: what it answers is what its files say.
AGENT = b"""import json, os, pathlib, sys, time, urllib.request
sys.stdin.readline()
said = " ".join(pathlib.Path(name).read_text() for name in ("tools/refund.yaml", "settings.yaml"))
parts = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": said}]}])
named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.output.messages": parts}
span = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "invoke_agent",
        "startTimeUnixNano": str(time.time_ns()), "endTimeUnixNano": str(time.time_ns()),
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in named.items()]}
body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
"""
SETTINGS = b"# may be tried\neffort: low  # of the model\nturns: 3\n"
KNOBS = """knobs:
  - {path: settings.yaml, key: turns, values: [3, 5]}
  - {path: settings.yaml, key: effort, values: [low, high]}
"""
PROMPT, TOOL, EXAMPLE = "smallest edit of a prompt", "descriptions of the tools", "one worked example"
NO_GOOD: Turn = [use("edit_file", path="prompts/policy.md", old="Rule 7: be kind.", new="Rule 7: be exact.")]
LARGE: Turn = [
    use("edit_file", path="tools/refund.yaml", old="refunds", new="To the card.\nmore: a\nlines: b")
]


class Author:
    """Says `turns` by what a session's first message says of where to begin."""

    def __init__(self, turns: dict[str, list[Turn]]) -> None:
        self.turns = turns
        self.calls: list[tuple[str, int]] = []

    def __call__(self, request: dict[str, Any], dice: Dice) -> Reply:
        told = "\n".join(block["text"] for block in request["messages"][0]["content"])
        approach = next(each for each in self.turns if each in told)
        turn = len(request["messages"]) // 2
        self.calls.append((approach, turn))
        return {"content": self.turns[approach][turn]}


async def prepared(desk: Desk, folder: Path, expected: str, more: str = "") -> tuple[str, str, str]:
    """An agent whose answer must hold a text, by an accepted eval: its name, OUTERLOOP_AGENTS, the eval."""
    agent = agent_name()
    files = {
        "outerloop.yaml": f"agent: {agent}\nrun: [python, agent.py]\ntest: [python, -c, pass]\n"
        f"mutable: [prompts/**, tools/*.yaml, settings.yaml]\n{more}".encode(),
        "prompts/policy.md": b"Rule 7: be kind.\n",
        "tools/refund.yaml": b"description: refunds\n",
        "prompts/large.yaml": b"effort: low\n" + b"# so much\n" * 30_000,
        "settings.yaml": SETTINGS,
        "agent.py": AGENT,
    }
    await agent_repository(folder, files)
    record = await desk.accept(agent)
    eval_ = record.eval.model_copy(update={"format": 2, "expect": (AnswerContains(text=expected),)})
    said = {"eval_yaml": eval_.to_yaml(), "content_sha256": content_sha256(eval_, Cassette())}
    await evals.insert(desk.db, type(record)(**{f: getattr(record, f) for f in record.__slots__} | said))
    return agent, f"{agent}={folder / 'remote'}", record.eval_id


async def test_the_smallest_candidate_that_passes_is_proposed(desk: Desk, tmp_path: Path) -> None:
    agent, agents, eval_id = await prepared(desk, tmp_path, "the card")
    model = Author({PROMPT: [NO_GOOD, DONE], TOOL: [LARGE, DONE], EXAMPLE: [CHANGE, DONE]})
    await desk.advance(model, agents, propose_candidates=3)
    (change,) = await desk.changes(agent)
    assert change.state is State.PROPOSED
    assert "+description: Refunds, to the card." in change.patch
    assert (
        "Chosen of 3 candidates: candidate 2: its tests pass, the eval passes in 3 of 3" in change.diagnosis
    )
    assert len(await desk.proposed(agent)) == 1
    begun = await sessions.of_change(desk.db, agent, change_id(eval_id, 1))
    assert {s.strategy for s in begun} == {"prompt", "tool", "example", "screening"}
    assert all(s.state is sessions.State.ENDED for s in begun)
    assert change.usd == pytest.approx(await desk.spent(agent))


async def test_where_no_candidate_passes_nothing_is_proposed_and_the_next_attempt_goes_another_way(
    desk: Desk, tmp_path: Path
) -> None:
    agent, agents, _ = await prepared(desk, tmp_path, "never said")
    model = Author({PROMPT: [NO_GOOD, DONE], TOOL: [CHANGE, DONE], EXAMPLE: [TALK, TALK]})
    await desk.advance(model, agents, propose_candidates=2)
    first, second, given_up = await desk.changes(agent)
    assert [c.state for c in (first, second, given_up)] == [State.FAILED, State.FAILED, State.ABANDONED]
    assert first.diagnosis.startswith(
        "none of 2 candidates: candidate 0: its tests pass, the eval passes in 0"
    )
    # The strategy that was not tried yet is the first of the second attempt.
    assert [approach for approach, turn in model.calls if turn == 0][2:] in (
        [EXAMPLE, PROMPT],
        [PROMPT, EXAMPLE],
    )
    # A person reads what was tried.
    (event,) = await desk.abandoned(agent)
    assert "Tried: attempt 1 (no change): none of 2 candidates" in event.reason
    assert "attempt 2 (no change): none of 2 candidates" in event.reason


async def test_candidates_that_are_killed_go_on_and_no_call_is_paid_twice(desk: Desk, tmp_path: Path) -> None:
    agent, agents, _ = await prepared(desk, tmp_path, "the card")
    model = Author({PROMPT: [LOOK, NO_GOOD, DONE], TOOL: [LOOK, LOOK, CHANGE, DONE]})
    async with serving(model) as api, desk.proposer(api, agents, propose_candidates=2) as one:
        killed = asyncio.create_task(one.advance(agent, None, None))
        while len(model.calls) < 3:  # noqa: ASYNC110 - another task's work
            await asyncio.sleep(0.01)
        api.inject(Fault(kind="hang", seconds=60, times=2))
        await asyncio.sleep(1)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        api.inject()
        async with desk.proposer(api, agents, propose_candidates=2) as another:
            await another.advance(agent, None, None)
    assert len(model.calls) == len(set(model.calls)) == 7
    (change,) = await desk.changes(agent)
    assert "to the card" in change.patch
    assert len(await desk.proposed(agent)) == 1


async def test_a_setting_is_found_without_any_model(desk: Desk, tmp_path: Path) -> None:
    agent, agents, eval_id = await prepared(desk, tmp_path, "high", KNOBS)
    model = Author({PROMPT: [GIVE_UP], TOOL: [GIVE_UP], EXAMPLE: [GIVE_UP]})
    await desk.advance(model, agents, propose_candidates=4)
    (change,) = await desk.changes(agent)
    assert change.state is State.PROPOSED
    assert '-effort: low  # of the model\n+effort: "high"  # of the model\n' in change.patch
    assert 'With effort of settings.yaml = "high" the eval passes in 3 of 3 runs' in change.diagnosis
    (search,) = [
        s for s in await sessions.of_change(desk.db, agent, change_id(eval_id, 1)) if s.strategy == "knobs"
    ]
    rows = await sessions.steps(desk.db, search)
    assert [row.input_tokens for row in rows] == [0] * 6
    # Each setting's tests, and its runs until one fails.
    assert "turns of settings.yaml = 5: tests" in rows[0].content
    assert "turns of settings.yaml = 5: run 1" in rows[1].content
    assert ["effort" in row.content for row in rows] == [False] * 2 + [True] * 4
    # `outerloop sessions show` tells what was tried, and what was seen.
    shown = _shown(rows[1])
    assert "turns of settings.yaml = 5: run 1\n  → {" in shown
    assert '"passed": false' in shown


@pytest.mark.parametrize(
    ("path", "key", "why"),
    [
        ("settings.yaml", "temperature", "settings.yaml has no temperature with a plain value"),
        ("agent.py", "effort", "agent.py is no text file that `mutable` names"),
        ("prompts/large.yaml", "effort", "'prompts/large.yaml' is larger than the 262144 bytes"),
    ],
)
async def test_a_knob_that_cannot_be_turned_is_said_and_costs_nothing(
    desk: Desk, tmp_path: Path, path: str, key: str, why: str
) -> None:
    nowhere = f"knobs: [{{path: {path}, key: {key}, values: [0, 1]}}]\n"
    agent, agents, _ = await prepared(desk, tmp_path, "high", nowhere)
    model = Author({PROMPT: [GIVE_UP], TOOL: [GIVE_UP], EXAMPLE: [GIVE_UP]})
    await desk.advance(model, agents, propose_candidates=4, propose_attempts=1)
    failed = (await changes.of_agent(desk.db, agent))[0]
    assert f"knobs: {why}" in failed.diagnosis
