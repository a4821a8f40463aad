"""What people say to the harness and see of it: pause, lessons, sessions."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from integration.test_cli import Service, Shell, until
from outerloop.cli.kafka import records
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topic_of


@pytest.fixture(scope="module")
def shell(tansu: str, chdb: str) -> Shell:
    one = Shell(
        kafka=tansu,
        kafka_idempotent_producer="false",
        kafka_session_timeout_ms="6000",
        clickhouse=chdb,
        clickhouse_database=f"cli_{uuid.uuid4().hex[:8]}",
    )
    assert one.json("migrate")["applied"]
    assert "created" in one.run("topics", "--create").stderr
    return one


@pytest.fixture(scope="module")
def propose(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    service = Service("propose", shell, tmp_path_factory.mktemp("propose") / "propose.log")
    service.start()
    yield
    assert service.stop() == 0


def test_a_pause_and_its_end_are_events_that_say_who_and_why(shell: Shell) -> None:
    began = datetime.now(UTC)
    said = shell.json("pause", "helpdesk", "--reason", "a migration", "--who", "ada")
    assert said == {"agent": "helpdesk", "paused": True, "by": "ada"}
    assert shell.json("pause", "--who", "ada")["agent"] == "all"
    assert shell.json("resume", "--who", "ada") == {"agent": "all", "paused": False, "by": "ada"}
    assert shell.run("resume", "helpdesk").stdout + shell.run("resume", "helpdesk").stderr
    settings = Settings(kafka=shell.env["OUTERLOOP_KAFKA"], kafka_idempotent_producer=False)
    topic = topic_of(LoopPaused).name
    found = [LoopPaused.FromString(r.value) for r in asyncio.run(records(settings, topic))]
    ours = [m for m in found if m.at.ToDatetime(UTC) >= began and m.by == "ada"]
    told = sorted((m.agent, m.paused, m.reason) for m in ours)
    assert told == [("*", False, ""), ("*", True, ""), ("helpdesk", True, "a migration")]


def test_an_agent_that_nobody_knows_cannot_be_paused(shell: Shell) -> None:
    known = Shell(
        **{k.removeprefix("OUTERLOOP_").lower(): v for k, v in shell.env.items() if "OUTERLOOP_" in k}
    )
    known.env["OUTERLOOP_AGENTS"] = "helpdesk=/srv/helpdesk.git"
    code, sentence = known.refused("pause", "helpdsek")
    assert (code, "helpdesk" in sentence) == (2, True)


def test_a_lesson_is_added_listed_and_retired(shell: Shell, propose: None) -> None:
    assert shell.json("lessons", "list") == []
    code, sentence = shell.refused("lessons", "add", " ", "--agent", "helpdesk")
    assert (code, sentence) == (2, "the lesson is empty: say what attempts are to heed")
    shell.json("lessons", "add", "Never widen a tool's rights.", "--agent", "helpdesk", "--who", "ada")

    def listed(*more: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = shell.json("lessons", "list", *more)
        return rows

    until(lambda: bool(listed()))
    (row,) = listed()
    assert (row["agent"], row["text"]) == ("helpdesk", "Never widen a tool's rights.")
    assert listed("--agent", "another") == []
    assert shell.refused("lessons", "retire", "nope", "--reason", "x")[0] == 2
    shell.json("lessons", "retire", row["lesson"], "--reason", "too strict", "--who", "bo")
    until(lambda: listed() == [])
    (kept,) = listed("--all")
    assert kept["lesson"] == row["lesson"]


def test_without_a_session_there_is_none_to_show(shell: Shell) -> None:
    assert shell.json("sessions", "list") == []
    assert (
        "no session was begun" in shell.run("sessions", "list").stderr + shell.run("sessions", "list").stdout
    )
    code, sentence = shell.refused("sessions", "show", "abc")
    assert (code, "abc" in sentence) == (2, True)
