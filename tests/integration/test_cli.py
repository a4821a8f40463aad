"""The command line as people and programs meet it: what it prints, what it refuses, and how it says so."""

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from google.protobuf import json_format

import samples
from engines.embedded import Tansu
from engines.server import Server, free_port
from outerloop.cli import kafka, main
from outerloop.cli.service import Name
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topics

REAL = Path(__file__).parents[3] / "shared" / "traces" / "airline_tau_gpt4o.otlp.pb.zst"
OUTERLOOP = [sys.executable, "-m", "outerloop"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Shell:
    """Runs `outerloop` with an environment of its own, in this process: an interpreter takes a second."""

    def __init__(self, **env: str) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("OUTERLOOP_")}
        self.env = ours | {f"OUTERLOOP_{name.upper()}": value for name, value in env.items()}

    def run(self, *arguments: str | Path) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in filter(lambda name: name.startswith("OUTERLOOP_"), list(os.environ)):
                patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["outerloop", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def process(self, *arguments: str | Path) -> Done:
        """The same in a process of its own, where also what libraries log is seen."""
        argv = [*OUTERLOOP, *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=self.env)
        return Done(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str | Path) -> Any:
        done = self.run(*arguments, "--json")
        assert done.code == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str | Path) -> tuple[int, str]:
        """The exit code, and the one sentence on stderr."""
        return refusal(self.run(*arguments))


def refusal(done: Done) -> tuple[int, str]:
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("outerloop: ")
    return done.code, sentence.removeprefix("outerloop: ")


class Service(Server):
    """One service as a process."""

    def __init__(self, name: str, shell: Shell, log: Path) -> None:
        env = [f"{k}={v}" for k, v in shell.env.items() if k.startswith("OUTERLOOP_")]
        super().__init__(
            ["env", *env, *OUTERLOOP, "run", name],
            log,
            lambda: log.exists() and f"{name} is ready" in log.read_text(),
        )


@pytest.fixture(scope="module")
def shell(tansu: str, chdb: str) -> Shell:
    """A shell at a broker and a database that are there and empty, with topics and tables."""
    one = Shell(
        kafka=tansu,
        kafka_idempotent_producer="false",
        kafka_session_timeout_ms="6000",
        clickhouse=chdb,
        clickhouse_database=f"cli_{uuid.uuid4().hex[:8]}",
        settle_seconds="0.5",
        otlp_http_port="0",
        otlp_grpc_port="0",
    )
    assert len(one.json("migrate")["applied"]) >= 7
    assert one.json("migrate") == {"applied": []}
    assert "created" in one.run("topics", "--create").stderr
    return one


@pytest.fixture(scope="module")
def services(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    logs = tmp_path_factory.mktemp("services")
    running = [Service(name, shell, logs / f"{name}.log") for name in ("ingest", "triage", "draft")]
    # At once, as each waits for its group; in threads that stay, as a child goes with the one that began it.
    with ThreadPoolExecutor(len(running)) as threads:
        list(threads.map(Service.start, running))
        yield
        assert [service.stop() for service in running] == [0, 0, 0]


@pytest.fixture(scope="module")
def nowhere(chdb: str) -> Shell:
    """A shell whose Kafka is away, and whose database was never made."""
    return Shell(kafka=f"127.0.0.1:{free_port()}", clickhouse=chdb, clickhouse_database="never_made")


@pytest.fixture
def settings(tansu: str) -> Settings:
    return Settings(kafka=tansu, kafka_idempotent_producer=False)


def delimited(*messages: bytes) -> bytes:
    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

    return b"".join(varint(len(message)) + message for message in messages)


def until(holds: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.2)


def test_topics_are_those_of_the_contracts(nowhere: Shell) -> None:
    rows = {row["topic"]: row for row in nowhere.json("topics")}
    assert set(rows) == set(topics())
    assert rows["outerloop.trace.settled.v1"]["readers"] == ["triage"]
    assert rows["outerloop.trial.finished.v1"]["writer"] == "gate"
    assert rows["outerloop.trial.finished.v1"]["hear"] == ["gate"]
    assert rows["outerloop.mode.opened.v1"]["dead_letters"] == ["outerloop.mode.opened.v1.draft.dlq"]
    assert rows["otlp_spans"]["key"] == "the sender's"
    assert "outerloop.mode.opened.v1" in nowhere.run("topics").stdout


def test_settings_are_those_of_all_services(nowhere: Shell) -> None:
    rows = {row["variable"]: row["meaning"] for row in nowhere.json("settings")}
    assert {"OUTERLOOP_KAFKA", "OUTERLOOP_SETTLE_SECONDS", "OUTERLOOP_MODE_OPENS_AT"} <= set(rows)
    assert all(rows.values())


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (None, "missing.pb", "missing.pb: No such file or directory"),
        (b"garbage", "x.pb", "the file ends inside a message: at byte 1, 103 bytes were announced"),
        (delimited(b"\xff\xff"), "x.pb", "not an OTLP ExportTraceServiceRequest"),
        (b'{"resourceSpans": 5}\n', "x.jsonl", "not an OTLP ExportTraceServiceRequest"),
        (b"not zstd", "x.pb.zst", "x.pb.zst is not zstd"),
    ],
    ids=["missing", "garbage", "not OTLP", "not OTLP JSON", "not zstd"],
)
def test_a_file_that_cannot_be_sent_is_named(
    shell: Shell, tmp_path: Path, content: bytes | None, name: str, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, sentence = shell.refused("send", tmp_path / name)
    assert code == 2
    assert sentence.startswith(str(tmp_path / name))
    assert says in sentence


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("modes",), 2, "has no database never_made: run `outerloop migrate` first"),
        (("dlq", "list"), 1, "does not answer (OUTERLOOP_KAFKA); `outerloop dev` starts a local one"),
    ],
    ids=["modes", "dlq"],
)
def test_what_is_away_is_said_in_a_sentence(
    nowhere: Shell, arguments: tuple[str, ...], code: int, says: str
) -> None:
    got, sentence = refusal(nowhere.process(*arguments))
    assert says in sentence
    assert got == code


def test_kafka_away_is_said_before_anything_is_sent(nowhere: Shell, tmp_path: Path) -> None:
    file = tmp_path / "good.pb"
    file.write_bytes(delimited(samples.run(1, "Hi").SerializeToString()))
    code, sentence = refusal(nowhere.process("send", file))
    assert (code, "does not answer (OUTERLOOP_KAFKA)" in sentence) == (1, True)


def test_a_folder_that_cannot_be_is_said_in_a_sentence(nowhere: Shell, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = nowhere.run("dev", "--dir", file / "below", "--agent", "a=b")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{file}/below: Not a directory\n")


def test_what_a_local_stack_cannot_do_is_said_before_it_starts(nowhere: Shell, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = nowhere.run("dev", "--dir", tmp_path / "dev", "--kafka-port", str(port))
    assert (done.code, done.stdout) == (2, "")
    assert f"port {port}" in done.stderr
    assert "choose --kafka-port" in done.stderr
    assert "--agent desk: must be NAME=REPOSITORY" in nowhere.run("dev", "--agent", "desk").stderr
    assert "65535" in nowhere.run("dev", "--kafka-port", "99999999").stderr


def test_clickhouse_away_is_said_in_a_sentence() -> None:
    away = Shell(clickhouse=f"http://127.0.0.1:{free_port()}")
    code, sentence = refusal(away.process("sql", "SELECT 1"))
    assert (code, "does not answer (OUTERLOOP_CLICKHOUSE)" in sentence) == (1, True)


def test_a_wrong_setting_is_refused_by_every_command() -> None:
    assert Shell(kafkas="x").refused("status") == (
        2,
        "OUTERLOOP_KAFKAS: there is no such setting; did you mean OUTERLOOP_KAFKA?",
    )
    code, sentence = Shell(draft_healthy="none").refused("run", "draft")
    assert (code, sentence.startswith("OUTERLOOP_DRAFT_HEALTHY: ")) == (2, True)


def test_sql_answers_and_says_what_is_wrong(shell: Shell) -> None:
    rows = shell.json("sql", "SELECT 1 AS one, 'ü' AS text, [1, 2] AS many, toDateTime(0, 'UTC') AS at")
    assert rows == [{"one": 1, "text": "ü", "many": [1, 2], "at": "1970-01-01T00:00:00+00:00"}]
    done = shell.run("sql", "SELEC 1")
    assert done.code == 2
    assert done.stderr.startswith("outerloop: ClickHouse says: ")
    assert "SYNTAX_ERROR" in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in shell.run("sql", "SELECT '\x1b[31m[red]' AS hostile").stdout


def test_topics_are_made_with_what_they_keep(shell: Shell, settings: Settings) -> None:
    async def retention(topic: str) -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        async with kafka.connected(settings, admin):
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: str(entry[1]) for entry in answer.resources[0][4]}["retention.ms"]

    assert asyncio.run(retention("outerloop.decision.reached.v1")) == "-1"
    assert asyncio.run(retention("otlp_spans")) == str(7 * 24 * 3600 * 1000)


def test_a_service_waits_for_its_schema_and_its_topics(chdb: str, tmp_path: Path) -> None:
    broker = Tansu(tmp_path)
    broker.start()
    fresh = Shell(
        kafka=broker.bootstrap,
        kafka_idempotent_producer="false",
        kafka_session_timeout_ms="6000",
        clickhouse=chdb,
        clickhouse_database=f"late_{uuid.uuid4().hex[:8]}",
    )
    log = tmp_path / "triage.log"
    service = Service("triage", fresh, log)
    with ThreadPoolExecutor(1) as threads:  # that stays, as in `services`
        started = threads.submit(service.start)
        until(lambda: log.exists() and "run `outerloop migrate` first" in log.read_text())
        fresh.json("migrate")
        until(lambda: "is missing: run `outerloop topics --create`" in log.read_text())
        assert fresh.run("topics", "--create").stderr.startswith("created ")
        assert started.result() > 0
        assert service.stop() == 0
    broker.kill()


def test_what_was_batched_counts_as_waiting(shell: Shell, settings: Settings) -> None:
    # Tansu's ListOffsets counts a batch as one record, see outerloop.cli.kafka.
    topic = f"outerloop.batched{uuid.uuid4().hex[:8]}.v1"

    async def send() -> dict[str, int]:
        await kafka.create_topics(settings, {topic: 2}, 1)
        async with kafka.connected(settings, kafka.producer(settings)) as producer:
            acknowledged = [await producer.send(topic, b"x", partition=0) for _ in range(7)]
            await asyncio.gather(*acknowledged)
        assert len(await kafka.records(settings, topic)) == 7
        return await kafka.backlog(settings, "outerloop-nobody", [topic])

    assert asyncio.run(send()) == {topic: 7}


@pytest.mark.usefixtures("services")
def test_the_commands_show_what_was_sent(shell: Shell, tmp_path: Path) -> None:
    looked = samples.Call("get_order", {"id": "A-1"})
    failed = samples.Call("get_order", {"id": "1"}, "bad id '1'", failed=True)
    good = [samples.run(n, "Where is my order?", looked) for n in range(50, 53)]
    bad = [samples.run(n, "Where is my order?", failed) for n in range(53, 56)]
    plain, packed, lines = tmp_path / "good.pb", tmp_path / "bad.pb.zst", tmp_path / "more.jsonl"
    plain.write_bytes(delimited(*(run.SerializeToString() for run in good)))
    packed.write_bytes(zstandard.compress(delimited(*(run.SerializeToString() for run in bad))))
    lines.write_text('{"resourceSpans": []}\n\n' * 2)
    assert shell.json("send", plain) == {"files": 1, "records": 3, "spans": 9}
    until(lambda: shell.json("status")["stored"]["judged"] == 3)
    assert shell.json("status")["stands_still"]["modes_parked"] == 0
    assert shell.json("send", packed, lines) == {"files": 2, "records": 5, "spans": 9}

    def to_review() -> list[dict[str, Any]]:
        return list(shell.json("evals", "list", "--state", "drafted"))

    until(lambda: len(to_review()) == 1)
    (mode,) = shell.json("modes", "--agent", "helpdesk")
    assert (mode["title"], mode["failures"]) == ("get_order fails: bad id …", 3)
    assert len(mode["examples"]) == 3
    assert shell.json("modes", "--agent", "nobody", "--all") == []
    lists = (("modes",), ("evals", "list"), ("releases",), ("sessions", "list"), ("lessons", "list"))
    for empty in lists:
        assert (
            "there is no agent 'nobody'; there are: helpdesk" in shell.run(*empty, "--agent", "nobody").stderr
        )
    (row,) = to_review()
    assert (row["failing_caught"], row["healthy_passed"]) == ("3/3", "1/1")
    shown = shell.json("evals", "show", row["eval"][:8])
    assert "calls get_order" in shown["words"]
    assert 0 < shown["proof"]["mutants_killed"] <= shown["proof"]["mutants"]
    assert shown["proof"]["reproduction"] == "unasked"  # nobody named its repository
    for verb in ("reject", "mute", "not-a-failure"):
        code, sentence = shell.refused("evals", verb, row["eval"], "--reason", " ")
        assert (code, sentence) == (2, "the reason is empty: say why, for those who come after")
    code, sentence = shell.refused("evals", "retire", row["eval"], "--reason", "so")
    assert sentence == f"eval {row['eval'][:8]} is drafted: only an accepted eval can be retired"
    text = tmp_path / "eval.yaml"
    edit = ("evals", "edit", row["eval"], "--reason", "so", "--file", text)
    assert "cannot be read" in shell.refused(*edit)[1]
    text.write_text("id: [")
    assert "is not YAML" in shell.refused(*edit)[1]
    text.write_text("id: x\n")
    assert f"eval {row['eval']}:1: agent: Field required" in shell.refused(*edit)[1]
    code, sentence = shell.refused("review")
    assert (code, "this is none: see `outerloop review --json`" in sentence) == (2, True)
    said = shell.json("evals", "accept", row["eval"], "--who", "ada")
    assert (said["review"], said["taken"]) == ("accepted", True)
    until(lambda: to_review() == [])
    code, sentence = shell.refused("evals", "reject", row["eval"], "--reason", "late")
    binds = f"eval {row['eval'][:8]} was accepted by ada: it binds for good, until a person retires it"
    assert (code, sentence) == (2, f"{binds} (`outerloop evals retire`)")
    assert shell.refused("evals", "show", "zzz")[0] == 2
    code, sentence = shell.refused("evals", "retire", row["eval"], "--reason", "we sell no lamps")
    assert (code, sentence[:54]) == (2, "OUTERLOOP_AGENTS names no repository of helpdesk: add ")
    assert shell.json("evals", "show", row["eval"], "--variants")["held_out"] == []  # all asked the same


@pytest.mark.usefixtures("services")
def test_evals_of_other_tools_wait_for_review(shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "promptfooconfig.yaml"
    config.write_text(
        "prompts: ['{{q}}']\ntests:\n- vars: {q: Hi}\n  assert:\n  - {type: contains, value: Hello}\n"
        "  - {type: javascript, value: output.length < 10}\n"
    )

    def to_review() -> list[dict[str, Any]]:
        return list(shell.json("evals", "list", "--agent", "greeter", "--state", "drafted"))

    (told,) = shell.json("evals", "import", config, "--agent", "greeter", "--review")["evals"]
    lost = f"{config}:6: assert javascript: has no counterpart: output.length < 10"
    assert told["lost"] == [lost]
    until(lambda: len(to_review()) == 1)
    assert shell.json("evals", "show", told["eval"])["reason"] == f"not taken over: {lost}"
    refused = shell.refused("evals", "mute", told["eval"], "--reason", "so")[1]
    assert "was imported, and is of no failure" in refused
    assert shell.json("evals", "reject", told["eval"], "--reason", "so")["review"] == "rejected"
    until(lambda: to_review() == [])


@pytest.mark.usefixtures("services")
def test_a_dead_letter_is_listed_shown_and_driven_again(shell: Shell, settings: Settings) -> None:
    async def send_garbage() -> None:  # `outerloop send` refuses it
        async with kafka.connected(settings, kafka.producer(settings)) as producer:
            await producer.send_and_wait("otlp_spans", b"garbage")

    asyncio.run(send_garbage())
    until(lambda: len(shell.json("dlq", "list")) == 1)
    (letter,) = shell.json("dlq", "list")
    assert letter["attempts"] == 1
    assert letter["error"].startswith("PoisonError: not an OTLP ExportTraceServiceRequest")
    shown = shell.json("dlq", "show", letter["letter"])
    assert shown["ol-dlq-topic"] == "otlp_spans"
    assert "PoisonError" in shown["ol-dlq-stack"]
    assert shell.run("dlq", "redrive", letter["letter"]).code == 0
    until(lambda: len(shell.json("dlq", "list")) == 2)
    assert shell.json("status")["dead_letters"] == {"otlp_spans.ingest.dlq": 2}
    # All of a topic, as a runbook says; both letters are of one record.
    assert "sent 1 of otlp_spans.ingest.dlq" in shell.run("dlq", "redrive", "otlp_spans.ingest.dlq").stderr
    until(lambda: len(shell.json("dlq", "list")) == 3)
    assert "is no topic of dead letters" in shell.refused("dlq", "redrive", "otlp_spans")[1]
    code, sentence = shell.refused("dlq", "show", "otlp_spans.ingest.dlq:0:99")
    assert (code, "there is no dead letter" in sentence) == (2, True)
    assert shell.refused("dlq", "show", "nothing:0:0")[0] == 2
    assert shell.refused("dlq", "show", "nothing")[0] == 2


@pytest.mark.skipif(not REAL.exists(), reason="the real traces are not beside this repository")
@pytest.mark.usefixtures("services")
def test_real_traces_are_stored_and_their_modes_shown(shell: Shell) -> None:
    before = shell.json("status")["stored"]
    assert shell.json("send", REAL) == {"files": 1, "records": 200, "spans": 3818}
    until(lambda: shell.json("status")["stored"]["judged"] - before["judged"] == 200)
    status = shell.json("status")
    assert status["stored"]["traces"] - before["traces"] == 200
    assert status["stored"]["spans"] - before["spans"] == 3818
    assert status["records_waiting"]["ingest"] == 0
    assert set(status["records_waiting"]) == {name.value for name in Name}
    modes = [mode for mode in shell.json("modes", "--all") if mode["agent"] != "helpdesk"]
    assert sum(mode["failures"] for mode in modes) == status["stored"]["failures"] - before["failures"]
    assert any(mode["state"] != "emerging" for mode in modes)
    for mode in modes:
        assert 1 <= len(mode["examples"]) <= min(5, mode["failures"])
    example = modes[0]["examples"][0]
    sql = f"SELECT count() AS n FROM otel_traces FINAL WHERE TraceId = '{example}'"  # noqa: S608
    assert shell.json("sql", sql)[0]["n"] > 1


def test_json_lines_are_sent_as_they_are(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "logs.jsonl"
    request = samples.evaluation(80, "quality", "pass")
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.ClearField("trace_id")
    record.ClearField("span_id")
    value = json_format.MessageToDict(request)
    value["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["traceId"] = samples.trace_id(80)
    file.write_text(json.dumps(value) + "\n")
    assert shell.json("send", "--logs", file) == {"files": 1, "records": 1, "spans": 0}
    found = asyncio.run(kafka.records(settings, "otlp_logs"))
    assert bytes.fromhex(samples.trace_id(80)) in found[-1].value
