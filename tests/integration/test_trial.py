"""Trials of a small agent, which does what its input says, against real sockets on every side."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.model import Cassette, Divergence, Eval, Provenance, RecordedCall
from outerloop.runtime.agentfile import AgentFile, Tools
from outerloop.runtime.errors import OutageError, TrialNotRunError
from outerloop.trial.checks import run_checks
from outerloop.trial.isolation import Bubblewrap, Unconfined
from outerloop.trial.modelproxy import Settle
from outerloop.trial.run import Trial, TrialSpec, model_session, run_trial
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Limits
from outerloop.trial.usage import Usage

AGENT = """
import gzip, json, os, sys, time, urllib.error, urllib.request

def post(url, body, **headers):
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()

def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}

def span(number, name, parent="", **attributes):
    now = str(time.time_ns())
    return {"traceId": "ab" * 16, "spanId": f"{number:016x}", "parentSpanId": parent, "name": name,
            "startTimeUnixNano": now, "endTimeUnixNano": now,
            "attributes": [attribute(k.replace("__", "."), v) for k, v in attributes.items()]}

request = json.loads(sys.stdin.readline())
spans, said = [], []
for number, (do, what) in enumerate(request["steps"], 2):
    if do == "tool":
        status, body = post(os.environ["OUTERLOOP_TOOLS_URL"] + "/call", json.dumps(what).encode())
        answer = json.loads(body) if status == 200 else {"content": str(status), "is_error": True}
        said.append(answer["content"])
        more = {"error__type": "tool"} if answer["is_error"] else {}
        spans.append(span(number, "tool", f"{1:016x}", gen_ai__operation__name="execute_tool",
                          gen_ai__tool__name=what["name"], gen_ai__tool__call__result=answer["content"],
                          gen_ai__tool__call__arguments=json.dumps(what["arguments"]), **more))
    elif do == "model":
        key = what.get("key", os.environ["ANTHROPIC_API_KEY"])
        url = os.environ["ANTHROPIC_BASE_URL"] + what.get("path", "/v1/messages")
        body = json.dumps({"ask": what.get("ask", ""), "model": "the-agents-own"}).encode()
        for _ in range(what.get("times", 1)):
            try: status, body_back = post(url, body, **{"x-api-key": key, "anthropic-version": "2023-06-01"})
            except Exception as error: status, body_back = 0, type(error).__name__.encode()
            said.append(f"{status} {body_back.decode()}")
        spans.append(span(number, "chat", f"{1:016x}", gen_ai__operation__name="chat",
                          gen_ai__response__model=what.get("model", "")))
    elif do == "env": said.append(json.dumps(dict(os.environ)))
    elif do == "exit": sys.exit(what)
    elif do == "sleep": time.sleep(what)
    elif do == "write": sys.stdout.write("x" * what)
    elif do == "spam":
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span(1, "x" * 10**6)]}]}]}).encode()
        url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
        for _ in range(what): post(url, gzip.compress(body), **{"content-encoding": "gzip"})
if request.get("trace", True):
    answer = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "; ".join(said)}]}])
    spans.append(span(1, "root", gen_ai__operation__name="invoke_agent", gen_ai__agent__name="small",
                      gen_ai__output__messages=answer))
    version = os.environ["OTEL_RESOURCE_ATTRIBUTES"].partition("=")[2]
    export = {"resourceSpans": [{"resource": {"attributes": [attribute("service.version", version)]},
                                 "scopeSpans": [{"spans": spans}]}]}
    endpoint = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    zipped = gzip.compress(json.dumps(export).encode())
    assert post(endpoint + "/v1/traces", zipped, **{"content-encoding": "gzip"})[0] == 200
    assert post(endpoint + "/v1/logs", b"{}")[0] == 200 == post(endpoint + "/v1/metrics", b"{}")[0]
print(json.dumps(said))
"""

TOOLBOX = """
import json, socket, sys
count = 0
for line in sys.stdin:
    call = json.loads(line)
    count += 1
    if call["name"] == "die": sys.exit("the toolbox broke")
    if call["name"] == "hang": import time; time.sleep(600)
    interfaces = [name for _, name in socket.if_nameindex()]
    print(json.dumps({"content": f"live {count} {call['arguments']} {interfaces}",
                      "is_error": call["name"] == "bad"}), flush=True)
"""

ORDER = {"order_id": "A-1"}
CASSETTE = Cassette(calls=(RecordedCall(tool="get_order", arguments=ORDER, result="recorded"),))
GET = ["tool", {"name": "get_order", "arguments": ORDER}]
ANSWERED = (Answered(),)
OTHER = ["tool", {"name": "get_order", "arguments": {"order_id": "A-2"}}]


def wanted(
    *steps: Any, divergence: Divergence = Divergence.FAIL, expect: Any = ANSWERED, **more: Any
) -> Eval:
    return Eval(
        id="e1",
        agent="small",
        mode_id="m1",
        title="does its steps",
        input={"steps": steps, **more},
        expect=expect,
        divergence=divergence,
        provenance=Provenance(
            drafted_by="test", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=()
        ),
    )


# As the API says it, with a status that blames the request.
UNPAID = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
    },
}


class Upstream:
    """The model: answers by what it is asked, and remembers what it saw."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.models: list[str | None] = []
        self.failures = 0

    async def messages(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("x-api-key"))
        body = await request.json()
        self.models.append(body.get("model"))
        ask = body["ask"]
        if ask.isdigit() or (ask.startswith("once ") and self.failures == 0):
            self.failures += 1
            return web.json_response({"type": "error"}, status=int(ask.removeprefix("once ")))
        if ask == "ping":
            return await self._ping(request)
        if ask == "untold":
            return web.Response(
                text='data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n',
                content_type="text/event-stream",
            )
        if ask in {"stream", "cut"}:
            return await self._stream(request, cut=ask == "cut")
        if ask.startswith("slow "):
            await asyncio.sleep(float(ask.removeprefix("slow ")))
        if ask in {"bad", "unpaid"}:
            return web.json_response(UNPAID if ask == "unpaid" else {"type": "error"}, status=400)
        return web.json_response({"text": "hi", "usage": {"input_tokens": 10, "output_tokens": 3}})

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        """Says for ever that it is still there."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"event: ping\ndata: {}\n\n")
            await asyncio.sleep(0.05)

    async def _stream(self, request: web.Request, *, cut: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        start = {"type": "message_start", "message": {"usage": {"input_tokens": 20, "output_tokens": 1}}}
        await response.write(f"event: message_start\ndata: {json.dumps(start)}\n\n".encode())
        if cut:
            assert request.transport is not None
            request.transport.abort()
            return response
        delta = b'data: {"type": "message_delta", "usage": {"output_tokens": 7}}\n\n'
        await response.write(delta[:20])
        await response.write(delta[20:])
        return response


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def model_url(upstream: Upstream) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/v1/messages", upstream.messages)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


@pytest.fixture
def spec(tmp_path: Path, model_url: str) -> TrialSpec:
    checkout, tools = tmp_path / "candidate", tmp_path / "base"
    checkout.mkdir()
    tools.mkdir()
    (checkout / "agent.py").write_text(AGENT)
    (tools / "toolbox.py").write_text(TOOLBOX)
    return TrialSpec(
        checkout=checkout,
        version="abc123",
        agent=AgentFile(
            agent="small",
            run=("python", "-S", "agent.py"),
            tools=Tools(sandbox=("python", "-S", "toolbox.py")),
            mutable=("*.py",),
        ),
        eval=wanted(),
        cassette=CASSETTE,
        tools_checkout=tools,
        environment=Path(sys.prefix),
        model_url=model_url,
        model_key="the-real-key",
        limits=Limits(seconds=20),
    )


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Bubblewrap())


async def said(spec: TrialSpec, sandbox: Sandbox, *steps: Any, **more: Any) -> tuple[Trial, list[str]]:
    trial = await run_trial(replace(spec, eval=wanted(*steps, **more)), sandbox)
    return trial, json.loads(trial.answer)


@pytest.mark.parametrize("isolation", [Bubblewrap, Unconfined])
async def test_a_trial_that_passes(spec: TrialSpec, isolation: type[Bubblewrap | Unconfined]) -> None:
    expect = (ToolCalled(tool="get_order", arguments=ORDER), NoErrorStatus(), Answered())
    trial, answers = await said(
        spec, Sandbox(isolation()), GET, ["model", {}], ["model", {"ask": "stream"}], expect=expect
    )
    assert (trial.passed, trial.reasons, trial.divergences) == (True, (), ())
    assert answers[0] == "recorded"
    assert trial.trace is not None
    assert (trial.trace.agent, trial.trace.version) == ("small", "abc123")
    assert [call.name for call in trial.trace.tool_calls] == ["get_order"]
    assert (trial.model_calls, trial.input_tokens, trial.output_tokens) == (2, 30, 10)


async def test_a_trial_that_fails_says_why(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial, _ = await said(spec, sandbox, GET, expect=(ToolCalled(tool="refund_order"),))
    assert trial.reasons == ("expected a call of refund_order: it was never called",)


async def test_the_agent_sees_neither_the_key_nor_that_it_is_on_trial(
    spec: TrialSpec, sandbox: Sandbox, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the-real-key")
    _, (text, _) = await said(spec, sandbox, ["env", None], ["model", {}])
    env = json.loads(text)
    assert env["ANTHROPIC_API_KEY"] == spec.nonce
    assert env["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert "the-real-key" not in text
    assert not any(word in text.lower() for word in ("trial", "eval", "e1", str(spec.checkout)))
    assert upstream.keys == ["the-real-key"]


async def test_the_model_asks_for_the_nonce_and_opens_nothing_else(
    spec: TrialSpec, sandbox: Sandbox, upstream: Upstream
) -> None:
    steps = (
        ["model", {"key": "guessed"}],
        ["model", {"path": "/v1/files"}],
        ["model", {"path": "/v1/messages/../files"}],
        ["model", {"path": "/v1/messages/batches"}],
    )
    trial, answers = await said(spec, sandbox, *steps)
    assert [answer[:3] for answer in answers] == ["401", "404", "404", "404"]
    assert upstream.keys == []
    assert trial.model_calls == 0


async def test_equal_trials_ask_the_model_again_each_with_its_own_key(
    spec: TrialSpec, sandbox: Sandbox, upstream: Upstream
) -> None:
    async with model_session() as session:
        asked = replace(spec, eval=wanted(["model", {}], ["env", None]))
        again = replace(asked, nonce="sk-ant-of-the-second")
        first, second = [await run_trial(each, sandbox, session) for each in (asked, again)]
        stale = replace(again, nonce="another", eval=wanted(["model", {"key": asked.nonce}]))
        third = await run_trial(stale, sandbox, session)
    assert (first.model_calls, second.model_calls, len(upstream.keys)) == (1, 1, 2)
    keys = [json.loads(json.loads(trial.answer)[1])["ANTHROPIC_API_KEY"] for trial in (first, second)]
    assert keys == [asked.nonce, again.nonce]
    assert json.loads(third.answer)[0].startswith("401")


async def test_another_model_can_take_the_place_of_the_agents(
    spec: TrialSpec, sandbox: Sandbox, upstream: Upstream
) -> None:
    trial, answers = await said(spec, sandbox, ["model", {}])
    instead, _ = await said(replace(spec, model_override="the-newer"), sandbox, ["model", {"ask": "stream"}])
    assert upstream.models == ["the-agents-own", "the-newer"]
    assert (trial.passed, answers[0][:3], instead.passed) == (True, "200", True)
    assert (instead.model_calls, instead.output_tokens) == (1, 7)


async def test_model_calls_are_capped(spec: TrialSpec, sandbox: Sandbox, upstream: Upstream) -> None:
    trial, answers = await said(replace(spec, model_calls=3), sandbox, ["model", {"times": 5}])
    assert [answer[:3] for answer in answers] == ["200", "200", "200", "403", "403"]
    assert len(upstream.keys) == trial.model_calls == 3
    assert trial.reasons == ("the agent made more than 3 model calls",)


class Purse:
    """Pays a dollar a call at most, out of `left`; keeps what it was told of each."""

    def __init__(self, left: float) -> None:
        self.left = left
        self.told: list[tuple[int, int] | None] = []

    async def begin(self, body: bytes) -> Settle | None:
        return self._end if b"model" in body and self.left >= 1 else None

    def _end(self, usage: Usage | None) -> None:
        self.left -= 1
        self.told.append((usage.input_tokens, usage.output_tokens) if usage else None)


async def test_calls_are_paid_for_one_by_one_and_none_is_made_without_money(
    spec: TrialSpec, sandbox: Sandbox, upstream: Upstream
) -> None:
    purse = Purse(2.5)
    with pytest.raises(TrialNotRunError, match="no money left for a call of its model"):
        await said(replace(spec, payer=purse), sandbox, ["model", {"times": 4}])
    assert purse.told == [(10, 3), (10, 3)]
    assert len(upstream.keys) == 2


async def test_whoever_pays_being_away_is_no_trial(
    spec: TrialSpec, sandbox: Sandbox, upstream: Upstream
) -> None:
    class Away(Purse):
        async def begin(self, body: bytes) -> Settle | None:
            raise OutageError("ClickHouse does not answer")

    with pytest.raises(TrialNotRunError, match="ClickHouse does not answer"):
        await said(replace(spec, payer=Away(9)), sandbox, ["model", {}])
    assert upstream.keys == []


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        ("hi", (10, 3)),
        ("stream", (20, 7)),
        ("bad", (0, 0)),
        ("529", (0, 0)),
        ("cut", None),
        ("untold", None),
    ],
)
async def test_a_call_whose_end_nobody_saw_is_told_apart(
    spec: TrialSpec, sandbox: Sandbox, ask: str, told: tuple[int, int] | None
) -> None:
    purse = Purse(9)
    with contextlib.suppress(TrialNotRunError):
        await said(replace(spec, payer=purse), sandbox, ["model", {"ask": ask}])
    assert purse.told == [told]


async def test_a_request_that_the_model_refuses_is_the_agents_own(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial, answers = await said(spec, sandbox, ["model", {"ask": "bad"}])
    assert answers[0].startswith("400")
    assert trial.passed


@pytest.mark.parametrize("ask", ["429", "529", "500", "401", "unpaid", "cut"])
async def test_an_outage_of_the_model_is_no_trial(spec: TrialSpec, sandbox: Sandbox, ask: str) -> None:
    with pytest.raises(TrialNotRunError, match="the model"):
        await said(spec, sandbox, ["model", {"ask": ask}])


async def test_an_outage_that_a_retry_overcame_is_forgotten(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial, answers = await said(spec, sandbox, ["model", {"ask": "once 529", "times": 2}])
    assert [answer[:3] for answer in answers] == ["529", "200"]
    assert trial.passed
    assert trial.model_calls == 1


async def test_a_model_that_cannot_be_reached_is_no_trial(spec: TrialSpec, sandbox: Sandbox) -> None:
    with pytest.raises(TrialNotRunError, match="could not be reached"):
        await said(replace(spec, model_url="http://127.0.0.1:1"), sandbox, ["model", {}])


async def test_no_sandbox_is_no_trial(spec: TrialSpec, sandbox: Sandbox) -> None:
    with pytest.raises(TrialNotRunError, match="could not be started"):
        await run_trial(replace(spec, environment=spec.checkout / "none"), sandbox)


async def test_a_crash_is_a_failed_trial(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial = await run_trial(replace(spec, eval=wanted(["exit", "it broke"])), sandbox)
    assert trial.reasons == ("the agent did not end well: it exited with code 1: it broke", "no trace came")
    assert trial.trace is None


async def test_a_timeout_is_a_failed_trial(spec: TrialSpec, sandbox: Sandbox) -> None:
    limits = Limits(seconds=1)
    trial = await run_trial(replace(spec, limits=limits, eval=wanted(["sleep", 60])), sandbox)
    assert not trial.passed
    assert "over its limit of time" in trial.reasons[0]


async def test_the_time_that_the_model_takes_is_not_the_agents(spec: TrialSpec, sandbox: Sandbox) -> None:
    slow = ["model", {"ask": "slow 1.2", "times": 3}]
    trial, answers = await said(replace(spec, limits=Limits(seconds=3)), sandbox, slow)
    assert [answer[:3] for answer in answers] == ["200", "200", "200"]
    assert (trial.passed, trial.seconds > 3.6) == (True, True)


async def test_time_after_the_model_answered_is_the_agents(spec: TrialSpec, sandbox: Sandbox) -> None:
    steps = (["model", {"ask": "slow 0.6"}], ["sleep", 60])
    trial = await run_trial(replace(spec, limits=Limits(seconds=1.5), eval=wanted(*steps)), sandbox)
    assert "over its limit of time" in trial.reasons[0]
    assert 2 < trial.seconds < 60


async def test_a_model_that_only_says_that_it_is_there_is_away(spec: TrialSpec, sandbox: Sandbox) -> None:
    spec = replace(spec, limits=Limits(seconds=4), eval=wanted(["model", {"ask": "ping"}]))
    with pytest.raises(TrialNotRunError, match="the model's answer broke off"):
        await run_trial(spec, sandbox)


async def test_an_agent_that_asks_for_ever_while_the_model_is_away_comes_to_an_end(
    spec: TrialSpec, sandbox: Sandbox
) -> None:
    steps = (["model", {"ask": "slow 60", "times": 1000}],)
    with pytest.raises(TrialNotRunError, match="could not be reached"):
        await run_trial(replace(spec, limits=Limits(seconds=4), eval=wanted(*steps)), sandbox)


async def test_no_trace_is_a_failed_trial(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial, _ = await said(spec, sandbox, GET, trace=False)
    assert trial.reasons == ("no trace came",)


async def test_an_endless_answer_and_endless_spans_are_failures(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial = await run_trial(replace(spec, eval=wanted(["write", 3_000_000], ["spam", 22])), sandbox)
    assert "the agent wrote more than an answer may have" in trial.reasons
    assert "the agent sent more than 20971520 bytes of traces" in trial.reasons
    assert len(trial.answer) < 1_100_000


async def test_divergence_fail(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial, answers = await said(spec, sandbox, GET, OTHER)
    assert answers[1].startswith("the recording does not hold this call")
    assert [d.answered_by for d in trial.divergences] == [Divergence.FAIL]


async def test_divergence_nearest(spec: TrialSpec, sandbox: Sandbox) -> None:
    trial, answers = await said(spec, sandbox, OTHER, divergence=Divergence.NEAREST)
    assert answers == ["recorded"]
    assert [d.answered_by for d in trial.divergences] == [Divergence.NEAREST]


@pytest.mark.parametrize("isolation", [Bubblewrap, Unconfined])
async def test_divergence_live_asks_one_tool_sandbox_without_network(
    spec: TrialSpec, isolation: type[Bubblewrap | Unconfined]
) -> None:
    bad = ["tool", {"name": "bad", "arguments": {}}]
    trial, answers = await said(
        spec, Sandbox(isolation()), GET, OTHER, OTHER, bad, divergence=Divergence.LIVE
    )
    assert answers[0] == "recorded"
    assert [answer.split(" [")[0] for answer in answers[1:]] == [
        "live 1 {'order_id': 'A-2'}",
        "live 2 {'order_id': 'A-2'}",
        "live 3 {}",
    ]
    if isolation is Bubblewrap:
        assert answers[1].endswith("['lo']")
    assert len(trial.divergences) == 3
    assert trial.trace is not None
    assert [call.failed for call in trial.trace.tool_calls] == [False, False, False, True]


@pytest.mark.parametrize(
    ("tool", "said_of_it"), [("die", "the toolbox broke"), ("hang", "not answer in time")]
)
async def test_a_tool_sandbox_that_breaks_is_no_trial(
    spec: TrialSpec, sandbox: Sandbox, tool: str, said_of_it: str
) -> None:
    spec = replace(spec, limits=Limits(seconds=4))
    with pytest.raises(TrialNotRunError, match=said_of_it):
        await said(spec, sandbox, ["tool", {"name": tool, "arguments": {}}], divergence=Divergence.LIVE)


async def test_live_without_a_tool_sandbox_answers_with_an_error(spec: TrialSpec, sandbox: Sandbox) -> None:
    agent = spec.agent.model_copy(update={"tools": Tools()})
    trial, answers = await said(replace(spec, agent=agent), sandbox, OTHER, divergence=Divergence.LIVE)
    assert "names no tools.sandbox" in answers[0]
    assert len(trial.divergences) == 1


async def test_checks_run_over_a_copy(spec: TrialSpec, sandbox: Sandbox) -> None:
    (spec.checkout / "test_it.py").write_text(
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n"
        "        open('left', 'w').close()\n        assert 1 == 2, 'not so'\n"
    )
    agent = spec.agent.model_copy(update={"test": ("python", "-m", "unittest", "-q")})
    checks = await run_checks(spec.checkout, agent, environment=spec.environment, sandbox=sandbox)
    assert not checks.ok
    assert "not so" in checks.output
    assert not (spec.checkout / "left").exists()
    test = spec.checkout / "test_it.py"
    test.write_text(test.read_text().replace("1 == 2", "1 == 1"))
    checks = await run_checks(spec.checkout, agent, environment=spec.environment, sandbox=sandbox)
    assert checks.ok
    assert "Ran 1 test" in checks.output


async def test_checks_that_do_not_end_are_told_from_checks_that_fail(
    spec: TrialSpec, sandbox: Sandbox
) -> None:
    agent = spec.agent.model_copy(update={"test": ("sleep", "60")})
    checks = await run_checks(
        spec.checkout, agent, environment=spec.environment, sandbox=sandbox, limits=Limits(seconds=0.5)
    )
    assert (checks.ok, checks.timed_out) == (False, True)


async def test_an_agent_without_checks_passes_them(spec: TrialSpec, sandbox: Sandbox) -> None:
    assert (await run_checks(spec.checkout, spec.agent, environment=spec.environment, sandbox=sandbox)).ok
