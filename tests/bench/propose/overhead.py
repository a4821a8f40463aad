"""What the harness itself takes for a step: from the model's answer to the next request at the model's door.

A proposer works as in service, with ClickHouse, git and the sandbox; its model, a script, does one call of a
tool a step, over and over. Counted with it are the SDK, HTTP on both ways, and the scripted server's own
checking of the next request: none of it is the model's, and it makes the figure larger, not smaller.
"""

import statistics
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.propose.kills import FINISH, accepted
from bench.propose.worker import Alone, Mute
from engines.repositories import AGENT, agent_repository
from outerloop.dev.messages_api import Dice, Reply, serving
from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store import changes, evals
from outerloop.store.changes import State

# Between two edits a session looks around; it tests once and runs the eval once.
_PLAN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_files", {}),
    ("read_file", {"path": "prompts/policy.md"}),
    ("search", {"pattern": "kind"}),
    ("read_file", {"path": "tools/refund.yaml"}),
    ("edit_file", {"path": "tools/refund.yaml", "old": "refunds", "new": "Refunds, to the card."}),
    ("run_tests", {}),
    ("read_file", {"path": "tools/refund.yaml"}),
    ("edit_file", {"path": "prompts/policy.md", "old": "Rule 7: be kind.", "new": "Rule 7: be exact."}),
    ("search", {"pattern": "exact"}),
    ("run_tests", {}),
    ("finish", FINISH),
)
_TESTS = "test: [python, -S, -E, -c, pass]\n"


@dataclass(frozen=True, slots=True)
class Overhead:
    """Milliseconds by step, and by the tool that a step called."""

    median_ms: float
    p90_ms: float
    by_tool_ms: dict[str, float]
    steps: int


async def overhead(settings: Settings, folder: Path, sessions: int) -> Overhead:
    """Measure so many sessions; the schema and the topics of `settings` are there."""
    taken: list[tuple[str, float]] = []
    answered: list[float] = []

    def model(request: dict[str, Any], dice: Dice) -> Reply:
        del dice
        turn = len(request["messages"]) // 2
        if turn:
            taken.append((_PLAN[turn - 1][0], 1000 * (time.perf_counter() - answered[-1])))
        name, given = _PLAN[turn]
        answered.append(time.perf_counter())
        return {"content": [{"type": "tool_use", "name": name, "input": given}]}

    db = ClickHouse(settings)
    async with serving(model) as api:
        for number in range(sessions + 1):
            if number == 1:
                taken.clear()  # the first one opens connections
            await _session(settings, db, folder, api.url)
    await db.close()
    return _summary(taken)


async def _session(settings: Settings, db: ClickHouse, folder: Path, url: str) -> None:
    agent = f"agent-{uuid.uuid4().hex[:8]}"
    terms = f"agent: {agent}\nrun: [python]\nmutable: [prompts/**, tools/*.yaml]\n{_TESTS}".encode()
    await agent_repository(folder / agent, AGENT | {"outerloop.yaml": terms})
    await evals.insert(db, accepted(agent))
    given = settings.model_dump(exclude={"otlp_endpoint"}) | {
        "agents": f"{agent}={folder / agent / 'remote'}",
        "cache": folder / "cache",
        "sandbox": "bubblewrap",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": url,
    }
    own = ProposeSettings(**given)
    bus = Mute(own, "propose")
    proposer = Alone(own, bus, db)
    client = proposer._attempts._provider.client  # a service leaves it to the end of its process
    async with bus, client:
        await proposer.look_at(agent)
    known = await changes.of_agent(db, agent)
    if [change.state for change in known] != [State.PROPOSED]:
        raise RuntimeError(f"the session came to {known}")


def _summary(taken: Sequence[tuple[str, float]]) -> Overhead:
    times = sorted(ms for _, ms in taken)
    by_tool: dict[str, list[float]] = {}
    for name, ms in taken:
        by_tool.setdefault(name, []).append(ms)
    return Overhead(
        median_ms=round(statistics.median(times), 1),
        p90_ms=round(times[int(len(times) * 0.9)], 1),
        by_tool_ms={name: round(statistics.median(each), 1) for name, each in sorted(by_tool.items())},
        steps=len(times),
    )
