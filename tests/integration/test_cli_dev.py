"""What `outerloop dev` says of the agents that it is given: real git, real outerloop.yaml."""

from pathlib import Path

import pytest

from engines.repositories import advance, agent_repository
from outerloop.cli.agents import hindrance
from outerloop.cli.local import _tell
from outerloop.dev.stack.local import Addresses, local_stack

TERMS = b"agent: desk\nrun: [python, agent.py]\nmutable: [prompts/**]\n"


async def test_what_is_in_the_way_of_repairing_an_agent_is_said(tmp_path: Path) -> None:
    url, cache = str(tmp_path / "remote"), tmp_path / "dev"
    away = await hindrance("desk", str(tmp_path / "nowhere"), "main", cache)
    assert "cannot be reached" in away
    assert "\n" not in away
    repository, _ = await agent_repository(tmp_path, {"agent.py": b"print()\n"})
    assert "there is no outerloop.yaml" in await hindrance("desk", url, "main", cache)
    assert "has no branch live" in await hindrance("desk", url, "live", cache)
    await advance(repository, {"outerloop.yaml": b"agent: desk\n"})
    assert "run" in await hindrance("desk", url, "main", cache)
    await advance(repository, {"outerloop.yaml": TERMS})
    assert await hindrance("desk", url, "main", cache) == ""
    assert await hindrance("shop", url, "main", cache) == "its outerloop.yaml is of agent 'desk'"


async def test_tests_that_fail_without_a_change_are_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTERLOOP_SANDBOX", "none")
    url, cache = str(tmp_path / "remote"), tmp_path / "dev"
    failing = TERMS + b"test: [python, -c, import a_package_that_is_not_here]\n"
    repository, _ = await agent_repository(tmp_path, {"outerloop.yaml": failing})
    said = await hindrance("desk", url, "main", cache)
    for told in ("its own tests", "a_package_that_is_not_here", "OUTERLOOP_AGENT_ENVIRONMENT"):
        assert told in said
    await advance(repository, {"outerloop.yaml": TERMS + b"test: [python, -c, pass]\n"})
    assert await hindrance("desk", url, "main", cache) == ""


@pytest.mark.parametrize("kafka", [9092, 19092])
def test_a_person_is_told_where_other_commands_find_the_stack(
    kafka: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway:4000")
    addresses = Addresses.choose(broker=kafka, clickhouse=8123, otlp=4318, otlp_grpc=4317)
    _tell(addresses, local_stack(tmp_path, addresses), scripted=False, as_json=False)
    said = capsys.readouterr()
    assert "http://gateway:4000" in said.out
    told = f"export OUTERLOOP_KAFKA=127.0.0.1:{kafka} OUTERLOOP_CLICKHOUSE=http://127.0.0.1:8123"
    assert (told in said.err) == (kafka != 9092)
