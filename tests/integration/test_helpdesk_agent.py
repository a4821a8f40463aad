"""The example agent as a process, on the scripted model: its flaws, and the fixes that close them."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outerloop.dev.messages_api import Dice, load_script

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
AGENT = EXAMPLES / "helpdesk"
SCRIPT = EXAMPLES / "helpdesk_model" / "script.py"
REPLY = load_script(SCRIPT)
FLAWS = ("bare_id", "late_refund", "question", "carrier_down")

SIGNALS = {
    "bare_id": "- tool_error get_order: invalid order id '1007': expected the form A-1007",
    "late_refund": "- evaluation refund_audit: fail: {explanation}",
    "question": "- error_status invoke_agent: invalid_answer {description}",
    "carrier_down": "- repeated_call track_shipment\n- tool_error track_shipment: carrier timeout, try again",
}
BRIEF = """## Failure mode

{signals}

## A failing run

<data>execute_tool get_order, execute_tool refund_order</data>

## Earlier attempts

{attempts}
"""
REJECTED = """+++ b/prompts/policy.md
+- Do not call refund_order.
eval "bare ids" failed: expected a call of refund_order"""


@dataclass
class Collector:
    """An OTLP/HTTP receiver on a free port; `spans` by trace id (hex), `services` as (name, version)."""

    spans: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    services: set[tuple[str, str]] = field(default_factory=set)
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            known = attributes(resource.resource)
            self.services.add((known["service.name"], known["service.version"]))
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans[span.trace_id.hex()].append(span)


@dataclass(frozen=True)
class Day:
    """What came of some requests: `failed` says by request id what showed in the trace or in the audit."""

    answers: dict[str, dict[str, Any]]
    failed: dict[str, set[str]]
    collector: Collector
    verdicts: list[dict[str, str]]


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    command = [sys.executable, "-m", "outerloop.dev.messages_api", "--script", str(SCRIPT), "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["listening"]
        server.terminate()


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    return Path(shutil.copytree(AGENT, tmp_path / "agent", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture(scope="module", autouse=True)
def examples_can_be_imported() -> Iterator[None]:
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def requests() -> list[Any]:
    return cast("list[Any]", importlib.import_module("helpdesk_traffic.traffic").requests(5, 40))


def run(agent: Path, model_url: str, requests: list[Any]) -> Day:
    """Sends the requests to one process and looks at all that it left."""
    collector = Collector()
    ledger = agent / "ledger.jsonl"
    ledger.unlink(missing_ok=True)
    environment = os.environ | {
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=abc123",
        "HELPDESK_LEDGER": str(ledger),
    }
    lines = "\n".join(request.line(str(number)) for number, request in enumerate(requests))
    done = subprocess.run(
        [sys.executable, "-m", "helpdesk"],
        cwd=agent, env=environment, input=lines, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    collector.server.shutdown()
    collector.server.server_close()
    assert (done.returncode, done.stderr) == (0, "")
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    verdicts = audit(ledger)
    late = {v["trace_id"] for v in verdicts if v["gen_ai.evaluation.score.label"] == "fail"}
    failed = {
        request_id: symptoms(collector.spans[answer["trace_id"]])
        | ({"refund_audit"} if answer["trace_id"] in late else set())
        for request_id, answer in answers.items()
    }
    return Day(answers, failed, collector, verdicts)


def symptoms(spans: list[Span]) -> set[str]:
    return {attributes(s)["error.type"] for s in spans if s.status.code == Status.STATUS_CODE_ERROR}


def attributes(span: Any) -> dict[str, str]:
    return {a.key: a.value.string_value for a in span.attributes}


def audit(ledger: Path) -> list[dict[str, str]]:
    job = importlib.import_module("helpdesk_traffic.audit")
    sent = ExportLogsServiceRequest.FromString(job.audit(job.refunds(ledger), time.time_ns()))
    records = [r for logs in sent.resource_logs for scope in logs.scope_logs for r in scope.log_records]
    assert {record.event_name for record in records} <= {"gen_ai.evaluation.result"}
    return [{**attributes(r), "trace_id": r.trace_id.hex(), "span_id": r.span_id.hex()} for r in records]


def of_kind(day: Day, requests: list[Any], kind: str) -> list[set[str]]:
    return [day.failed[str(number)] for number, request in enumerate(requests) if request.kind == kind]


def recovered(day: Day, number: int) -> bool:
    """Whether the last tool call of the request went well."""
    spans = day.collector.spans[day.answers[str(number)]["trace_id"]]
    last = max((s for s in spans if s.name.startswith("execute_tool")), key=lambda s: s.start_time_unix_nano)
    return last.status.code != Status.STATUS_CODE_ERROR


def propose(agent: Path, signals: str, attempts: str = "None.") -> None:
    """Changes the agent's files as the scripted proposer does."""
    paths = [*(agent / "prompts").iterdir(), *(agent / "tools").iterdir()]
    files = {str(path.relative_to(agent)): path.read_text() for path in paths}
    sober = Dice(draw=lambda: 1.0)
    rehearsal = importlib.import_module("rehearsal").Rehearsal(files)
    rehearsal.run(lambda request: REPLY(request, sober), BRIEF.format(signals=signals, attempts=attempts))
    assert rehearsal.calls[-1] == "finish"
    for path, text in rehearsal.files.items():
        (agent / path).write_text(text)


def signals_of(kind: str, day: Day) -> str:
    """The evidence, in words taken from the day's own telemetry where it has them."""
    late = [v for v in day.verdicts if v["gen_ai.evaluation.score.label"] == "fail"]
    explanation = late[0]["gen_ai.evaluation.explanation"] if late else ""
    failed = [s.status.message for spans in day.collector.spans.values() for s in spans]
    description = next((text for text in failed if "final answer" in text), "")
    return SIGNALS[kind].format(explanation=explanation, description=description)


def test_flaws_show_and_each_fix_removes_its_own(agent: Path, model_url: str, requests: list[Any]) -> None:
    day = run(agent, model_url, requests)
    assert len(day.answers) == len(requests)
    assert not any(of_kind(day, requests, "healthy"))
    assert all(symptom == {"tool_error"} for symptom in of_kind(day, requests, "bare_id"))
    assert all(symptom == {"refund_audit"} for symptom in of_kind(day, requests, "late_refund"))
    assert all(symptom == {"invalid_answer"} for symptom in of_kind(day, requests, "question"))
    assert all(symptom == {"tool_error", "max_steps"} for symptom in of_kind(day, requests, "carrier_down"))

    open_flaws = list(FLAWS)
    for flaw in FLAWS:
        attempts = REJECTED if flaw == "late_refund" else "None."
        propose(agent, signals_of(flaw, day), attempts)
        open_flaws.remove(flaw)
        after = run(agent, model_url, requests)
        # A carrier that is down still answers an error, once, but then the agent finds another way.
        gone = {"tool_error"} if flaw == "carrier_down" else set()
        assert all(symptom == gone for symptom in of_kind(after, requests, flaw))
        assert not any(of_kind(after, requests, "healthy"))
        assert all(all(of_kind(after, requests, other)) for other in open_flaws)
        if flaw == "carrier_down":
            assert all(recovered(after, number) for number, r in enumerate(requests) if r.kind == flaw)


def test_the_blunt_rule_breaks_healthy_refunds(agent: Path, model_url: str, requests: list[Any]) -> None:
    propose(agent, SIGNALS["late_refund"].format(explanation="refunded A-1031 delivered 52 days ago"))
    assert "Do not call refund_order." in (agent / "prompts" / "policy.md").read_text()
    day = run(agent, model_url, requests)
    actions = [answer["answer"]["action"] for answer in day.answers.values()]
    assert "refused" in actions
    assert "refunded" not in actions


def test_spans_follow_the_conventions(agent: Path, model_url: str, requests: list[Any]) -> None:
    refund = next(r for r in requests if r.kind == "healthy" and "refund" in r.text)
    day = run(agent, model_url, [refund])
    ((trace_id, spans),) = day.collector.spans.items()
    assert day.collector.services == {("helpdesk", "abc123")}
    by_name = {span.name: attributes(span) for span in spans}
    model = "claude-sonnet-5-5"
    tools = {"execute_tool get_order", "execute_tool refund_order"}
    assert set(by_name) == {"invoke_agent helpdesk", f"chat {model}", *tools}
    assert len(spans) == 6
    root = next(span for span in spans if not span.parent_span_id)
    assert {span.parent_span_id for span in spans} == {b"", root.span_id}
    assert by_name[root.name]["gen_ai.conversation.id"] == "0"
    assert json.loads(by_name[root.name]["gen_ai.input.messages"])[0]["parts"][0]["content"] == refund.text
    (output,) = json.loads(by_name[root.name]["gen_ai.output.messages"])
    assert output["finish_reason"] == "stop"
    assert json.loads(output["parts"][0]["content"])["action"] == "refunded"
    call = by_name["execute_tool refund_order"]
    assert json.loads(call["gen_ai.tool.call.arguments"])["order_id"] == refund.order_id
    (verdict,) = day.verdicts
    assert (verdict["trace_id"], verdict["span_id"]) == (trace_id, root.span_id.hex())


@pytest.fixture
def stub() -> Iterator[tuple[str, list[Any]]]:
    """A tool stub that knows one order, and the calls that it got."""
    calls: list[Any] = []
    order = {"id": "A-1007", "status": "placed", "items": ["a recorded tent"], "today": "2026-11-20"}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            body = json.dumps({"content": json.dumps(order), "is_error": False}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", calls
        server.shutdown()


def ask(text: str) -> Any:
    return importlib.import_module("helpdesk_traffic.traffic").Request(text, "healthy")


def test_tools_can_be_elsewhere(
    agent: Path, model_url: str, stub: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, calls = stub
    monkeypatch.setenv("OUTERLOOP_TOOLS_URL", url)
    day = run(agent, model_url, [ask("What is the status of order A-1007?")])
    assert calls == [("/call", {"name": "get_order", "arguments": {"order_id": "A-1007"}})]
    assert "a recorded tent" in day.answers["0"]["answer"]["reply"]


def test_tools_that_are_away_are_no_answer(
    agent: Path, model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTERLOOP_TOOLS_URL", "http://127.0.0.1:9")  # the discard port: nobody answers
    day = run(agent, model_url, [ask("What is the status of order A-1007?")])
    assert day.answers["0"]["error"].startswith("ToolsUnavailable: get_order")
    assert day.failed["0"] == {"ToolsUnavailable"}


def test_answers_while_stdin_is_open(agent: Path, model_url: str) -> None:
    environment = os.environ | {"ANTHROPIC_BASE_URL": model_url, "ANTHROPIC_API_KEY": "none"}
    command = [sys.executable, "-m", "helpdesk"]
    with subprocess.Popen(
        command, cwd=agent, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in ("nonsense", ask("Please cancel A-1004").line("later")):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert ("error" in answer) == (line == "nonsense")
        process.stdin.close()
        assert process.wait(30) == 0
