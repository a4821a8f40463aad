"""Trying: real runs of an edited agent, on its eval and on a recorded run, in the world of each."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from outerloop.evals.expect.answer import AnswerContains
from outerloop.evals.model import Cassette, Divergence, Eval, Provenance, RecordedCall, content_sha256
from outerloop.propose.purse import Purse
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.trying import Trying
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import TrialNotRunError
from outerloop.store.evals import EvalRecord, State
from outerloop.trace.model import Span, Trace
from outerloop.trial.backend import sandbox_of
from samples import Call, run, trace

# Looks up the order that is asked for, and says what it was told.
AGENT = """import json, os, re, sys, time, urllib.request

def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read())

def span(number, **named):
    now = str(time.time_ns())
    said = [{"key": k.replace("__", "."), "value": {"stringValue": v}} for k, v in named.items()]
    return {"traceId": "ab" * 16, "spanId": f"{number:016x}", "parentSpanId": f"{1:016x}" * (number > 1),
            "name": "x", "startTimeUnixNano": now, "endTimeUnixNano": now, "attributes": said}

order = re.search(r"\\d+", sys.stdin.readline())[0]
call = {"name": "get_order", "arguments": {"order_id": order}}
told = post(os.environ["OUTERLOOP_TOOLS_URL"] + "/call", call)
said = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": told["content"]}]}])
spans = [span(1, gen_ai__operation__name="invoke_agent", gen_ai__output__messages=said),
         span(2, gen_ai__operation__name="execute_tool", gen_ai__tool__name="get_order",
              gen_ai__tool__call__arguments=json.dumps(call["arguments"]),
              gen_ai__tool__call__result=told["content"])]
post(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces",
     {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
"""
RECORDED = trace(run(7, "Where is order 1007?", Call("get_order", {"order_id": "1007"}, "on its way")))


@pytest.fixture
def trying() -> Trying:
    eval_ = Eval(
        id="e",
        format=2,
        agent="small",
        mode_id="m",
        title="says what it was told",
        input={"messages": [{"role": "user", "parts": [{"type": "text", "content": "order 5"}]}]},
        expect=(AnswerContains(text="delivered"),),
        divergence=Divergence.FAIL,
        provenance=Provenance(
            drafted_by="test", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=()
        ),
    )
    cassette = Cassette(
        calls=(RecordedCall(tool="get_order", arguments={"order_id": "5"}, result="delivered"),)
    )
    record = EvalRecord(
        eval_id="e",
        agent="small",
        mode_id="m",
        title=eval_.title,
        state=State.ACCEPTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl=cassette.to_jsonl(),
        content_sha256=content_sha256(eval_, cassette),
        failing_caught=1,
        failing=1,
        healthy_passed=1,
        healthy=1,
        reviewer="r",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    settings = ProposeSettings(sandbox="none")
    terms = AgentFile(agent="small", run=("python", "agent.py"), mutable=("**",))
    return Trying(settings, sandbox_of(settings), record, terms)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "agent.py").write_text(AGENT)
    return tmp_path


async def test_the_eval_is_run_in_its_recorded_world(trying: Trying, tree: Path) -> None:
    ran = await trying.run(tree, tree, Purse())
    assert ran.passed, ran.reasons


async def test_a_recorded_run_is_made_again_in_its_own_world(trying: Trying, tree: Path) -> None:
    ran = await trying.run(tree, tree, Purse(), RECORDED)
    assert ran.passed, ran.reasons  # nothing of the eval's is expected there
    assert ran.trace
    assert [(c.arguments, c.result) for c in ran.trace.tool_calls] == [({"order_id": "1007"}, "on its way")]


async def test_a_run_whose_request_is_not_known_cannot_be_made_again(trying: Trying, tree: Path) -> None:
    unknown = Trace.of([Span(trace_id="t", span_id="r", operation="invoke_agent")])
    with pytest.raises(TrialNotRunError, match="what was asked in that run is not recorded"):
        await trying.run(tree, tree, Purse(), unknown)
