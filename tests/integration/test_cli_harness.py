"""What people say to the harness and see of it: pause, lessons, sessions."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from integration.test_cli import Service, Shell, until
from outerloop.cli.kafka import records
from outerloop.contracts.v1.loop_pb2 import LessonNoted, LoopPaused
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topic_of
from outerloop.store import modes
from outerloop.store.modes import Mode


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
    assert shell.json("status")["paused"]["helpdesk"] == "by ada: a migration"
    assert "helpdesk is still paused by ada: a migration" in shell.run("resume").stderr
    shell.json("pause", "--reason", "bills", "--who", "ada")
    assert shell.json("status")["paused"]["all"] == "by ada: bills"
    assert "the whole loop is still paused by ada: bills" in shell.run("resume", "helpdesk").stderr
    assert shell.run("resume").code == 0
    assert {"all", "helpdesk"}.isdisjoint(shell.json("status")["paused"])
    mistyped = shell.run("pause", "helpdsek", "--by", "bob").stderr
    assert mistyped.startswith("helpdsek is paused\nis that its name? there is no agent 'helpdsek'")
    settings = Settings(kafka=shell.env["OUTERLOOP_KAFKA"], kafka_idempotent_producer=False)
    topic = topic_of(LoopPaused).name
    found = [LoopPaused.FromString(r.value) for r in asyncio.run(records(settings, topic))]
    ours = [m for m in found if m.at.ToDatetime(UTC) >= began and m.by == "ada"]
    told = sorted((m.agent, m.paused, m.reason) for m in ours)
    assert told == [
        ("*", False, ""),
        ("*", True, ""),
        ("*", True, "bills"),
        ("helpdesk", True, "a migration"),
    ]


def test_an_agent_that_nobody_knows_cannot_be_paused(shell: Shell) -> None:
    known = Shell(
        **{k.removeprefix("OUTERLOOP_").lower(): v for k, v in shell.env.items() if "OUTERLOOP_" in k}
    )
    known.env["OUTERLOOP_AGENTS"] = "helpdesk=/srv/helpdesk.git"
    code, sentence = known.refused("pause", "helpdsek")
    assert (code, "helpdesk" in sentence) == (2, True)
    assert known.refused("lessons", "add", "Be kind.", "--agent", "helpdsek") == (code, sentence)
    # As of a variable that is not set: it does not mean the whole loop.
    for command in (("pause", ""), ("resume", ""), ("lessons", "add", "Be kind.", "--agent", "")):
        assert known.refused(*command) == (2, "the agent's name is blank")


def test_an_argument_that_is_no_text_is_said(shell: Shell) -> None:
    assert shell.refused("pause", "help\udcffdesk") == (2, "an argument is not UTF-8 text")
    assert shell.refused("lessons", "add", "Be k\udcffind.", "--agent", "helpdesk")[0] == 2


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
    # Though there is one only, nothing was named.
    assert shell.refused("lessons", "retire", "", "--reason", "x")[0] == 2
    assert "blank" in shell.refused("lessons", "retire", row["lesson"], "--reason", " ")[1]
    shell.json("lessons", "retire", row["lesson"], "--reason", "too strict", "--who", "bo")
    until(lambda: listed() == [])
    (kept,) = listed("--all")
    assert kept["lesson"] == row["lesson"]


def test_a_lesson_of_a_mode_is_of_one_that_is_there(shell: Shell) -> None:
    settings = Settings(
        kafka=shell.env["OUTERLOOP_KAFKA"],
        kafka_idempotent_producer=False,
        clickhouse=shell.env["OUTERLOOP_CLICKHOUSE"],
        clickhouse_database=shell.env["OUTERLOOP_CLICKHOUSE_DATABASE"],
    )

    async def known() -> None:
        db = ClickHouse(settings)
        mode = Mode("5be1a2c4-mode", "clerk", "It refuses", "f", "k", datetime.now(UTC))
        await modes.insert(db, mode)
        await modes.enter(db, mode.mode_id, modes.State.OPEN, "c", at=datetime.now(UTC))
        await db.close()

    asyncio.run(known())
    add = ("lessons", "add", "Be kind.", "--agent")
    assert "no mode nope" in shell.refused(*add, "clerk", "--mode", "nope")[1]
    assert "is of the agent clerk" in shell.refused(*add, "helpdesk", "--mode", "5be1a2c4")[1]
    shell.json(*add, "clerk", "--mode", "5be1a2c4")
    sent = [
        LessonNoted.FromString(r.value) for r in asyncio.run(records(settings, topic_of(LessonNoted).name))
    ]
    assert [message.mode_id for message in sent if message.agent == "clerk"] == ["5be1a2c4-mode"]
    assert "attempts are shown 800" in shell.refused("lessons", "add", "x" * 801, "--agent", "clerk")[1]


def test_without_a_session_there_is_none_to_show(shell: Shell) -> None:
    assert shell.json("sessions", "list") == []
    assert (
        "no session was begun" in shell.run("sessions", "list").stderr + shell.run("sessions", "list").stdout
    )
    code, sentence = shell.refused("sessions", "show", "abc")
    assert (code, "abc" in sentence) == (2, True)
