"""`outerloop forget`: what production said of one person goes, with what was made of it, and no more."""

import asyncio
from typing import Any

import pytest

import samples
from engines.repositories import agent_repository
from integration.test_cli import Service, Shell, delimited, services, shell, until  # noqa: F401 - fixtures
from outerloop.store.forgetting import OF_EVALS, OF_TRACES, USER_KEYS

ASKED = "Where is my order?"
LOOKED = samples.Call("get_order", {"id": "A-1"})
FAILED = samples.Call("get_order", {"id": "1"}, "bad id '1'", failed=True)
ADA = range(53, 56)
NONE = [{"n": 0}]


def told(number: int, *calls: samples.Call, **said: str) -> bytes:
    run = samples.run(number, ASKED, *calls)
    for span in run.resource_spans[0].scope_spans[0].spans:
        span.attributes.extend(samples.attributes(**said))
    return run.SerializeToString()


@pytest.fixture(scope="module")
def rows(shell: Shell) -> Any:  # noqa: F811 - the fixture
    """Asks ClickHouse."""
    return lambda sql: shell.json("sql", sql)


@pytest.fixture(scope="module")
def eval_id(shell: Shell, services: None, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: F811
    """An accepted eval from three failures of user ada; seven runs of others went well."""
    folder = tmp_path_factory.mktemp("sent")
    asyncio.run(agent_repository(folder))
    shell.env["OUTERLOOP_AGENTS"] = f"helpdesk={folder / 'remote'}"
    runs = [told(n, LOOKED, gen_ai__conversation__id=f"talk-{n}", user__id="bob") for n in range(46, 53)]
    (folder / "good.pb").write_bytes(delimited(*runs))
    (folder / "bad.pb").write_bytes(delimited(*(told(n, FAILED, enduser__id="ada") for n in ADA)))
    shell.json("send", folder / "good.pb")
    until(lambda: shell.json("status")["stored"]["judged"] == 7)
    shell.json("send", folder / "bad.pb")
    until(lambda: len(shell.json("evals", "list", "--state", "drafted")) == 1)
    (row,) = shell.json("evals", "list", "--state", "drafted")
    shell.json("evals", "accept", row["eval"], "--who", "eve")
    until(lambda: shell.json("evals", "list", "--state", "accepted") != [])
    return str(row["eval"])


def test_every_table_with_traces_or_evals_is_known(shell: Shell, rows: Any) -> None:  # noqa: F811
    found = rows(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase()"
        " AND name IN ('TraceId', 'trace_id', 'eval_id') AND table IN"
        " (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')"
    )
    traces = {row["table"]: row["name"] for row in found if row["name"] != "eval_id"}
    assert traces == OF_TRACES
    # Decisions and releases name an eval and quote nothing of production.
    others = {"decisions", "releases", "release_findings", "reopenings", "sentinel_days", "mode_states"}
    assert {row["table"] for row in found if row["name"] == "eval_id"} - others == set(OF_EVALS)


def test_nothing_goes_before_yes_and_whom_must_be_said(shell: Shell, eval_id: str) -> None:  # noqa: F811
    assert shell.refused("forget")[1] == "say whom to forget: either --session ID or --user ID"
    assert shell.refused("forget", "--user", "a", "--session", "b")[0] == 2
    planned = shell.json("forget", "--user", "ada")
    assert (planned["done"], planned["traces"], planned["deleted"]) == (False, 3, {})
    assert [each["eval"] for each in planned["evals"]] == [eval_id]
    assert shell.json("forget", "--user", "ada", "--agent", "other")["traces"] == 0
    assert shell.json("forget", "--user", "nobody", "--yes")["traces"] == 0
    assert shell.json("status")["stored"]["traces"] == 10
    assert "nothing was changed" in shell.run("forget", "--user", "ada").stderr


def test_a_user_is_forgotten_and_the_others_stay(shell: Shell, rows: Any, eval_id: str) -> None:  # noqa: F811
    done = shell.json("forget", "--user", "ada", "--yes", "--by", "dpo")
    assert (done["done"], done["traces"], done["deleted"]["otel_traces"]) == (True, 3, 9)
    assert any("outerloop/suite" in sentence for sentence in done["left"])
    ids = ", ".join(f"'{samples.trace_id(n)}'" for n in ADA)
    for table, column in OF_TRACES.items():
        assert rows(f"SELECT count() AS n FROM {table} WHERE {column} IN ({ids})") == NONE, table  # noqa: S608
    for table in OF_EVALS:
        assert rows(f"SELECT count() AS n FROM {table} WHERE eval_id = '{eval_id}'") == NONE, table  # noqa: S608
    stored = shell.json("status")["stored"]
    assert (stored["traces"], stored["judged"]) == (7, 7)
    assert shell.json("forget", "--user", "ada", "--yes")["traces"] == 0


def test_a_session_is_forgotten(shell: Shell, rows: Any, eval_id: str) -> None:  # noqa: F811
    assert shell.json("forget", "--session", "talk-46", "--yes")["traces"] == 1
    assert rows("SELECT uniqExact(TraceId) AS n FROM otel_traces") == [{"n": 6}]


def test_the_help_names_the_attributes(shell: Shell) -> None:  # noqa: F811
    assert all(key.split(".")[0] in shell.run("forget", "--help").stdout for key in USER_KEYS)
