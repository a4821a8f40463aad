"""What `outerloop dev` says of the agents that it is given: real git, real outerloop.yaml."""

from pathlib import Path

from engines.repositories import advance, agent_repository
from outerloop.cli.agents import hindrance

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
