"""run_trial: one run of an agent on one eval, in a sandbox, and its verdict.

What the agent does wrong (a crash, a timeout, no trace) is a failed trial with its reasons. What is not its
doing (no sandbox, the model or the tool sandbox away) is TrialNotRunError: the trial did not happen. The time
that the model takes is not the agent's either: the limit on time does not count it.
"""

import json
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp

from outerloop.evals.cassette import Diverged, Player
from outerloop.evals.grade import GRADER, exact, grade, judges
from outerloop.evals.model import Cassette, Eval
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import TrialNotRunError, UserError
from outerloop.trace.model import Span, Trace
from outerloop.trial.livetools import LiveTools
from outerloop.trial.mcpstub import known_tools
from outerloop.trial.modelproxy import ModelProxy, Payer
from outerloop.trial.proxy import Proxy
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Completed, Limits, Spec
from outerloop.trial.toolstub import ToolStub

URLS = {
    "ANTHROPIC_BASE_URL": "/anthropic",
    "OPENAI_BASE_URL": "/anthropic/v1",  # Anthropic's own chat/completions endpoint
    "OUTERLOOP_TOOLS_URL": "/tools",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "/otlp",
}
_SHOWN = 400  # characters of stderr in a reason
_SHARE = 0.5  # of the trial's time: how long model and tools may be silent before that is an outage
_TOOL_SECONDS = 20.0  # but a tool no longer than this: the agent's own patience is not longer


def fresh_nonce() -> str:
    """What an agent under trial holds in place of the model's key: another one in every trial."""
    return f"sk-ant-{secrets.token_urlsafe(24)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """One trial to run.

    `checkout` is the agent at the commit under trial, `version` that commit. `tools_checkout` is where the
    tool sandbox runs from: a checkout that the change has not touched. `model_url` and `model_key` are the
    real model's; the agent gets `nonce` in place of the key. `environment` is the agent's Python environment.
    `model_override` is asked in place of whatever model the agent names. `payer` may refuse calls of the
    model, or of a judge; a trial that lacks one for that says nothing about the agent. `trial` is its id, if
    it has one: no two with the same run at once.
    """

    checkout: Path
    version: str
    agent: AgentFile
    eval: Eval
    cassette: Cassette
    tools_checkout: Path
    environment: Path
    model_url: str
    model_key: str
    model_calls: int = 50
    limits: Limits = field(default_factory=Limits)
    nonce: str = field(default_factory=fresh_nonce)
    model_override: str = ""
    payer: Payer | None = None
    trial: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a trial. `trace` is None when none came; `answer` is what the agent wrote to stdout.

    Of the `tool_calls` that reached the tools, the recording did not hold the `divergences`. `grader` is the
    version of what graded it, `judged_by` are the models that were asked as judges; their tokens count. So
    many calls of the model, beyond those that it had, were `refused`.
    """

    passed: bool
    reasons: tuple[str, ...]
    trace: Trace | None
    answer: str
    seconds: float
    model_calls: int
    input_tokens: int
    output_tokens: int
    tool_calls: int
    divergences: tuple[Diverged, ...]
    grader: int = GRADER
    judged_by: tuple[str, ...] = ()
    refused: int = 0

    @property
    def silent(self) -> bool:
        """Whether nothing shows that the agent ran at all: it may lack what it needs where it was tried."""
        return self.trace is None and not (self.model_calls or self.refused or self.tool_calls)

    @property
    def fidelity(self) -> float:
        """The share of the tool calls that were answered from the recording; 1 when there was none."""
        return 1 - len(self.divergences) / self.tool_calls if self.tool_calls else 1.0


def model_session() -> aiohttp.ClientSession:
    """A session for the model calls of trials; whoever made it closes it."""
    # Whatever is kept between two calls would be kept between two trials.
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


async def run_trial(spec: TrialSpec, sandbox: Sandbox, session: aiohttp.ClientSession | None = None) -> Trial:
    """Runs the agent on the eval's input and grades its trace.

    A `session` (see `model_session`) that trials share spares each a new connection to the model.

    Raises:
        TrialNotRunError: when the trial says nothing about the agent.
    """
    async with AsyncExitStack() as stack:
        asking = session or model_session()
        if session is None:
            await stack.enter_async_context(asking)
        model = ModelProxy(
            url=spec.model_url,
            key=spec.model_key,
            nonce=spec.nonce,
            most=spec.model_calls,
            seconds=spec.limits.seconds * _SHARE,
            session=asking,
            substitute=spec.model_override,
            payer=spec.payer,
        )
        live = await stack.enter_async_context(_live(spec, sandbox)) if spec.agent.tools.sandbox else None
        player = Player(spec.cassette, spec.eval.divergence, spec.eval.replay)
        proxy = Proxy(
            model=model,
            tools=ToolStub(player=player, live=live),
            shown=tuple(known_tools(spec.eval.replay.tools, spec.cassette.calls)),
        )
        request = json.dumps(spec.eval.input, ensure_ascii=False).encode() + b"\n"
        completed = await sandbox.run(
            _command(spec), request, proxy.serve, lambda: 0.0 if _given_up(spec, model) else model.waited
        )
    wrong = [*proxy.broken, *model.outages.values()]
    if completed.timed_out and _given_up(spec, model):
        wrong.append(f"calls of the model that had to be made again took {model.lost:.0f} s")
    if model.unpaid:
        wrong.append("there was no money left for a call of its model")
    if wrong:
        raise TrialNotRunError("; ".join(wrong))
    trial = _verdict(spec, completed, proxy)
    return await _judged(spec, trial, proxy) if trial.passed and judges(spec.eval.expect) else trial


def _given_up(spec: TrialSpec, model: ModelProxy) -> bool:
    """Whether the model was away for so long that the trial is over: an agent may retry for ever."""
    return model.lost >= spec.limits.seconds


def _verdict(spec: TrialSpec, completed: Completed, proxy: Proxy) -> Trial:
    trace = first_trace(proxy.spans)
    reasons = _misconduct(completed, proxy)
    try:
        reached = None if spec.agent.tools.in_process else proxy.tools.reached
        expected = exact(spec.eval.expect)  # a judge is asked only when all else holds
        reasons += grade(expected, trace, reached).reasons if trace else ["no trace came"]
    except RecursionError:
        reasons.append("the trace holds JSON that is nested too deep to be read")
    except UserError as error:
        raise TrialNotRunError(str(error)) from error
    return Trial(
        passed=not reasons,
        reasons=tuple(reasons),
        trace=trace,
        answer=completed.stdout.decode(errors="replace").strip(),
        seconds=completed.seconds,
        model_calls=proxy.model.calls,
        input_tokens=proxy.model.usage.input_tokens,
        output_tokens=proxy.model.usage.output_tokens,
        tool_calls=len(proxy.tools.reached),
        divergences=proxy.tools.player.divergences,
        refused=proxy.model.refused,
    )


async def _judged(spec: TrialSpec, trial: Trial, proxy: Proxy) -> Trial:
    """The trial with what judges say of its trace, on which all else holds."""
    # Not at the top: few evals have a judge, and the SDK takes long to load.
    from outerloop.trial.judge import client_of, opinions  # noqa: PLC0415

    if trial.trace is None:
        return trial
    async with client_of(spec.model_url, spec.model_key) as client:
        asked = await opinions(judges(spec.eval.expect), trial.trace, client, spec.payer)
    reached = None if spec.agent.tools.in_process else proxy.tools.reached
    graded = grade(spec.eval.expect, trial.trace, reached, asked.opinions)
    return replace(
        trial,
        passed=graded.passed,
        reasons=graded.reasons,
        input_tokens=trial.input_tokens + asked.input_tokens,
        output_tokens=trial.output_tokens + asked.output_tokens,
        judged_by=tuple(sorted(asked.models)),
    )


def first_trace(spans: Iterable[Span]) -> Trace | None:
    """The trace whose root started first, of all that were sent; None when there is none."""
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    made = [Trace.of(group) for group in traces.values()]
    return min(made, key=lambda trace: (bool(trace.root.parent_span_id), trace.root.start_ns), default=None)


def _misconduct(completed: Completed, proxy: Proxy) -> list[str]:
    """What is wrong with the run itself, whatever its trace says."""
    reasons: list[str] = []
    if completed.failure:
        said = completed.stderr.decode(errors="replace").strip()[-_SHOWN:]
        reasons.append(f"the agent did not end well: {completed.failure}{': ' if said else ''}{said}")
    if completed.cut:
        reasons.append("the agent wrote more than an answer may have")
    reasons += [f"the agent sent {excess}" for excess in dict.fromkeys(proxy.excesses)]
    if proxy.model.refused:
        reasons.append(f"the agent made more than {proxy.model.most} model calls")
    return reasons


def _command(spec: TrialSpec) -> Spec:
    """The agent's command. Its surroundings look like production: no variable tells of a trial or an eval."""
    env = {
        "ANTHROPIC_API_KEY": spec.nonce,
        "OPENAI_API_KEY": spec.nonce,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={spec.version}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Spec(
        argv=spec.agent.run,
        tree=spec.checkout,
        environment=spec.environment,
        env=env,
        urls=URLS,
        labels={"agent": spec.agent.agent} | ({"trial": spec.trial} if spec.trial else {}),
        limits=spec.limits,
    )


def _live(spec: TrialSpec, sandbox: Sandbox) -> LiveTools:
    command = replace(
        _command(spec), argv=spec.agent.tools.sandbox or (), tree=spec.tools_checkout, urls={}, env={}
    )
    return LiveTools(sandbox, command, seconds=min(_TOOL_SECONDS, spec.limits.seconds * _SHARE))
