"""A trial's tools by every way there is to them: one line in the agent, MCP, and the example's own client."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integration.test_trial import ANSWERED, model_url, sandbox, spec, upstream, wanted
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.model import Cassette, Divergence, RecordedCall, Replay, ToolDefinition
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.isolation import Unconfined
from outerloop.trial.run import TrialSpec, run_trial
from outerloop.trial.sandbox import Sandbox

__all__ = ["model_url", "sandbox", "spec", "upstream"]  # fixtures

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
HELPER = Path(__file__).parents[2] / "services" / "outerloop" / "tools.py"
CASSETTE = Cassette(
    calls=(
        RecordedCall(tool="get_order", arguments={"order_id": "A-1", "at": 1}, result='{"total": 5}'),
        RecordedCall(tool="pay", arguments={}, result="no funds", failed=True),
    )
)
TOOLS = (ToolDefinition(name="get_order", description="An order."), ToolDefinition(name="pay"))
MCP = """
import asyncio, json, os
from mcp.client import Client

async def main():
    async with Client(os.environ["OUTERLOOP_TOOLS_URL"] + "/mcp") as client:
        listed = {tool.name: tool.description for tool in (await client.list_tools()).tools}
        said = []
        calls = ("get_order", {"order_id": "A-1", "at": 2}), ("pay", {}), ("get_order", {"x": 1})
        for name, arguments in calls:
            result = await client.call_tool(name, arguments)
            said.append([result.content[0].text, bool(result.is_error)])
    return [listed, said]

say(asyncio.run(main()))
"""
ROUTED = """
from tools import ToolError, route

@route
def get_order(order_id, at): raise AssertionError("not in a trial")

@route
def pay(): raise AssertionError("not in a trial")

said = [get_order("A-1", at=3)["total"]]
try: pay()
except ToolError as error: said.append(str(error))
say(said)
"""
# Whatever it does with its tools, it is a run with an answer.
SAY = """
def say(what):
    import json, os, time, urllib.request
    text = lambda key, value: {"key": key, "value": {"stringValue": value}}
    answer = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "done"}]}])
    attributes = [text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.output.messages", answer)]
    now = str(time.time_ns())
    span = {"traceId": "ab" * 16, "spanId": "01" * 8, "name": "root", "startTimeUnixNano": now,
            "endTimeUnixNano": now, "attributes": attributes}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
    urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
    print(json.dumps(what))
"""


def speaking(spec: TrialSpec, agent: str, run: tuple[str, ...]) -> TrialSpec:
    (spec.checkout / "agent.py").write_text(SAY + agent)
    shutil.copy(HELPER, spec.checkout / "tools.py")  # it needs nothing else
    replay = Replay(ignore=("at",), tools=(ToolDefinition(name="get_order", description="An order."),))
    eval_ = wanted(divergence=Divergence.FAIL).model_copy(update={"replay": replay})
    return replace(spec, agent=spec.agent.model_copy(update={"run": run}), eval=eval_, cassette=CASSETTE)


async def test_an_agent_that_speaks_mcp_needs_another_url_only(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial = await run_trial(speaking(spec, MCP, ("python", "agent.py")), sandbox)
    assert trial.passed, trial.reasons
    listed, said = json.loads(trial.answer)
    assert listed == {"get_order": "An order.", "pay": None}
    assert said[:2] == [['{"total": 5}', False], ["no funds", True]]
    assert "does not hold this call" in said[2][0]
    assert (trial.tool_calls, len(trial.divergences)) == (3, 1)
    assert trial.fidelity == pytest.approx(2 / 3)


async def test_what_mcp_calls_reached_the_tools_counts_for_the_verdict(
    spec: TrialSpec, sandbox: Sandbox
) -> None:
    told = speaking(spec, MCP, ("python", "agent.py"))
    expect = (ToolCalled(tool="get_order", where={}), *ANSWERED)
    trial = await run_trial(replace(told, eval=told.eval.model_copy(update={"expect": expect})), sandbox)
    assert trial.reasons == ("expected a call of get_order: it was never called",)  # its trace is silent


async def test_live_tools_that_are_away_are_no_trial_over_mcp_either(
    spec: TrialSpec, sandbox: Sandbox
) -> None:
    told = speaking(spec, MCP.replace('("get_order", {"x": 1})', '("die", {})'), ("python", "agent.py"))
    live = told.eval.model_copy(update={"divergence": Divergence.LIVE})
    with pytest.raises(TrialNotRunError, match="the toolbox broke"):
        await run_trial(replace(told, eval=live), sandbox)


async def test_one_line_routes_an_agents_tools(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial = await run_trial(speaking(spec, ROUTED, ("python", "-S", "agent.py")), sandbox)
    assert trial.passed, trial.reasons
    assert json.loads(trial.answer) == [5, "no funds"]
    assert (trial.tool_calls, trial.fidelity) == (2, 1.0)


@pytest.fixture(scope="module")
def scripted() -> Iterator[str]:
    script = EXAMPLES / "helpdesk_model" / "script.py"
    command = [sys.executable, "-m", "outerloop.dev.messages_api", "--script", str(script), "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["listening"]
        server.terminate()


async def test_an_unchanged_agent_makes_the_same_calls_again_over_mcp(
    spec: TrialSpec, sandbox: Sandbox
) -> None:
    """Recording fidelity, as below: of an agent that decides by what its tools say."""
    asks = MCP.replace(
        "    return [listed, said]",
        """        again = await client.call_tool("get_order", {"seen": said[0][0][:6]})
        said.append([again.content[0].text, bool(again.is_error)])
    return said""",
    )
    told = speaking(spec, asks, ("python", "agent.py"))
    live = told.eval.model_copy(update={"divergence": Divergence.LIVE, "replay": Replay(tools=TOOLS)})
    first = await run_trial(replace(told, eval=live, cassette=Cassette()), sandbox)
    assert (first.tool_calls, first.fidelity) == (4, 0.0)
    said = json.loads(first.answer)
    assert said[0][0].startswith("live 1 ")
    # What the live tools were asked and said is the recording.
    made = [(each.tool, dict(each.arguments)) for each in first.divergences]
    calls = tuple(
        RecordedCall(tool=tool, arguments=arguments, result=result, failed=failed)
        for (tool, arguments), (result, failed) in zip(made, said, strict=True)
    )
    strict = live.model_copy(update={"divergence": Divergence.FAIL})
    replayed = await run_trial(replace(told, eval=strict, cassette=Cassette(calls=calls)), sandbox)
    assert json.loads(replayed.answer) == said
    assert (replayed.tool_calls, replayed.fidelity, replayed.divergences) == (4, 1.0, ())


async def test_an_unchanged_agent_makes_the_same_calls_again(spec: TrialSpec, scripted: str) -> None:
    """Recording fidelity: a run recorded with live tools, then replayed from nothing but its recording."""
    agentfile = AgentFile.parse((EXAMPLES / "helpdesk" / "outerloop.yaml").read_text())
    asks = {"type": "text", "content": "I want a refund for order A-1031, it arrived broken."}
    messages = [{"role": "user", "parts": [asks]}]
    live = wanted(divergence=Divergence.LIVE).model_copy(update={"input": {"messages": messages}})
    first = replace(
        spec,
        agent=agentfile,
        checkout=EXAMPLES / "helpdesk",
        tools_checkout=EXAMPLES / "helpdesk",
        model_url=scripted,
        eval=live,
        cassette=Cassette(),
    )
    recorded = await run_trial(first, Sandbox(Unconfined()))
    assert recorded.trace is not None
    calls = recorded.trace.tool_calls
    assert len(calls) >= 2
    assert recorded.fidelity == 0
    cassette = Cassette(
        calls=tuple(
            RecordedCall(tool=c.name, arguments=dict(c.arguments), result=c.result, failed=c.failed)
            for c in calls
        )
    )
    strict = live.model_copy(update={"divergence": Divergence.FAIL})
    replayed = await run_trial(replace(first, eval=strict, cassette=cassette), Sandbox(Unconfined()))
    assert replayed.trace is not None
    assert [(c.name, c.arguments, c.result) for c in replayed.trace.tool_calls] == [
        (c.name, c.arguments, c.result) for c in calls
    ]
    assert (replayed.fidelity, replayed.divergences, replayed.answer.count("error")) == (1.0, (), 0)
