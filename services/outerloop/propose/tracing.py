"""Tracing: the harness tells of its own sessions as any agent does: GenAI conventions, on `otlp_spans`.

So what it does can be looked at, and its failures triaged, like anyone's: the agent is `outerloop-propose`. A
session that brought no change ends in an error; a change that the gate rejects is evaluated as failed. Ids
follow from the session, so that what is sent again is the same.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.propose.memory import standing
from outerloop.runtime.bus import Bus, TooLargeError
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS
from outerloop.store import sessions
from outerloop.store.sessions import SessionRecord, State, StepRecord

log = logging.getLogger(__name__)

AGENT = "outerloop-propose"
_EVALUATION = "gate"
# As the conventions name who serves a model.
_PROVIDERS = {"bedrock": "aws.bedrock", "vertex": "gcp.vertex_ai"}


class Tracing:
    """Sends what the harness did; that it cannot be sent keeps nothing from being done."""

    def __init__(self, bus: Bus, db: ClickHouse, provider: str, *, on: bool) -> None:
        self._bus = bus
        self._db = db
        self._provider = provider
        self._on = on

    async def sessions_of(self, agent: str, change_id: str) -> None:
        """Send the sessions that a change came from, as far as they have ended."""
        if not self._on:
            return
        for session in await sessions.of_change(self._db, agent, change_id):
            if session.state is State.ENDED:
                steps = standing(await sessions.steps(self._db, session))
                await self._send(OTLP_SPANS, trace_of(session, steps, self._provider).SerializeToString())

    async def decided(self, decision: DecisionReached) -> None:
        """Send what the gate says of a change, as an evaluation of its session."""
        if not self._on:
            return
        for session in (await sessions.of_change(self._db, decision.agent, decision.change_id))[-1:]:
            await self._send(OTLP_LOGS, evaluation_of(session, decision).SerializeToString())

    async def _send(self, topic: str, value: bytes) -> None:
        try:
            await self._bus.send(topic, value, None, {})
        except (OutageError, TooLargeError) as error:
            log.warning("a session of the harness is not traced: %s", error)


def trace_of(session: SessionRecord, steps: Sequence[StepRecord], provider: str) -> ExportTraceServiceRequest:
    """A session as one trace: invoke_agent, and below it a chat for each step and its tool calls.

    `provider` is as OUTERLOOP_PROPOSE_PROVIDER names it.
    """
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.extend(_attributes({"service.name": AGENT}))
    spans = group.scope_spans.add(spans=[_root(session, steps)])
    spans.scope.name = "outerloop.propose"
    for step in steps:
        spans.spans.extend(_step(session, step, provider))
    return made


def evaluation_of(session: SessionRecord, decision: DecisionReached) -> ExportLogsServiceRequest:
    """The gate's verdict as `gen_ai.evaluation.result` on a session's root."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add()
    group.resource.attributes.extend(_attributes({"service.name": AGENT}))
    ships = decision.verdict == VERDICT_SHIP
    record = group.scope_logs.add().log_records.add(
        event_name="gen_ai.evaluation.result",
        trace_id=_trace_id(session),
        span_id=_span_id(session, "root"),
        time_unix_nano=decision.decided_at.ToNanoseconds(),
    )
    said = {
        "gen_ai.evaluation.name": _EVALUATION,
        "gen_ai.evaluation.score.label": "pass" if ships else "fail",
        "gen_ai.evaluation.explanation": decision.reason,
    }
    record.attributes.extend(_attributes(said))
    return made


def _root(session: SessionRecord, steps: Sequence[StepRecord]) -> Span:
    outcome: dict[str, Any] = json.loads(session.outcome or "{}")
    failed = "patch" not in outcome
    answer = outcome.get("reason") or outcome.get("diagnosis", "")
    return Span(
        trace_id=_trace_id(session),
        span_id=_span_id(session, "root"),
        name=f"invoke_agent {AGENT}",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_ns(session.began_at),
        end_time_unix_nano=max(_ns(session.at), *(_ns(step.at) for step in steps), _ns(session.began_at)),
        status=Status(code=Status.STATUS_CODE_ERROR, message=str(answer)[:500]) if failed else None,
        attributes=_attributes(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": AGENT,
                "gen_ai.conversation.id": session.change_id,
                "gen_ai.request.model": session.model,
                "gen_ai.input.messages": _message("user", session.told),
                "gen_ai.output.messages": _message("assistant", str(answer)),
                "outerloop.agent": session.agent,
                "outerloop.eval": session.eval_id,
                "outerloop.attempt": session.attempt,
                **({"error.type": "no_change"} if failed else {}),
            }
        ),
    )


def _step(session: SessionRecord, step: StepRecord, provider: str) -> list[Span]:
    content: list[dict[str, Any]] = json.loads(step.content)
    results = {block.get("tool_use_id"): block for block in json.loads(step.results)}
    ended = _ns(step.at)
    said = _texts(content)
    if not step.stop_reason and not step.output_tokens:  # a look (see looking.py): no model was asked
        seen = {"outerloop.look": said, "outerloop.seen": _texts(json.loads(step.results))}
        return [_child(session, f"{step.step}", "look", (ended, ended), seen)]
    usage = {
        "gen_ai.usage.input_tokens": step.input_tokens,
        "gen_ai.usage.output_tokens": step.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": step.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": step.cache_write_tokens,
    }
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": session.model,
        "gen_ai.response.finish_reasons": json.dumps([step.stop_reason]),
        "gen_ai.output.messages": _message("assistant", said),
        **usage,
    }
    began = ended - int(step.seconds * 1e9)
    spans = [_child(session, f"{step.step}", f"chat {session.model}", (began, ended), chat)]
    for number, call in enumerate(block for block in content if block["type"] == "tool_use"):
        result = results.get(call["id"], {})
        tool = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call["name"],
            "gen_ai.tool.call.id": call["id"],
            "gen_ai.tool.call.arguments": json.dumps(call["input"], ensure_ascii=False),
            "gen_ai.tool.call.result": str(result.get("content", "")),
        }
        name = f"execute_tool {call['name']}"
        span = _child(session, f"{step.step}.{number}", name, (ended, ended), tool)
        if result.get("is_error"):
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="refused"))
        spans.append(span)
    return spans


def _texts(blocks: Sequence[dict[str, Any]]) -> str:
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def _child(
    session: SessionRecord, place: str, name: str, times: tuple[int, int], said: dict[str, Any]
) -> Span:
    return Span(
        trace_id=_trace_id(session),
        span_id=_span_id(session, place),
        parent_span_id=_span_id(session, "root"),
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=times[0],
        end_time_unix_nano=times[1],
        attributes=_attributes(said),
    )


def _trace_id(session: SessionRecord) -> bytes:
    return hashlib.sha256(session.session_id.encode()).digest()[:16]


def _span_id(session: SessionRecord, place: str) -> bytes:
    return hashlib.sha256(f"{session.session_id}/{place}".encode()).digest()[:8]


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def _attributes(said: dict[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=k, value=AnyValue(int_value=v) if isinstance(v, int) else AnyValue(string_value=str(v)))
        for k, v in said.items()
    ]
