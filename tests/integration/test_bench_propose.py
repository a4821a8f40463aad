"""The short form of `make bench-propose`: what it says of the harness, on one agent and a few flaws."""

from pathlib import Path
from typing import Any

import pytest

from bench.propose.__main__ import TARGET, engines, misses, repairs
from bench.propose.flaws import FLAWS, HELPDESK, QUOTES, ROOMS


def quiet(_: str) -> None:
    """Nobody reads it here."""


def test_there_are_flaws_enough_in_three_agents() -> None:
    assert len(FLAWS) >= 12
    assert min(map(len, (HELPDESK, ROOMS, QUOTES))) >= 4
    assert {flaw.agent for flaw in FLAWS} == {"helpdesk", "rooms", "quotes"}


async def test_what_the_harness_tells_is_what_a_repair_needs() -> None:
    found = await repairs([f for f in ROOMS if f.name in {"too small", "long booking"}], quiet)
    # One takes a second attempt, which has to know why the first was rejected; none can do without evidence.
    assert found["repaired"] == {
        "composed": 2,
        "dumped": 2,
        "without_memory": 1,
        "without_evidence": 0,
    }
    assert found["repaired_at_once"] == 1
    assert 0 < found["context_share"] <= TARGET["context_share"]
    assert found["context_share"] <= found["context_share_worst"] < 1
    assert found["cache_hit_rate"] > 0.5


async def test_the_dump_suffices_too_where_a_place_stands_in_it_twice() -> None:
    # Once as the file has it, once in a trace's JSON: the script reads the file when its edit does not fit.
    pytest.importorskip("pydantic_ai", reason="the extra `bench` is not installed")
    found = await repairs([f for f in QUOTES if f.name == "discount"], quiet)
    assert (found["repaired"]["composed"], found["repaired"]["dumped"]) == (1, 1)


async def test_an_agent_on_a_framework_is_repaired_in_its_docstrings() -> None:
    pytest.importorskip("pydantic_ai", reason="the extra `bench` is not installed")
    found = await repairs([f for f in QUOTES if f.name == "currency"], quiet)
    assert found["repaired"]["composed"] == 1
    assert found["repaired"]["without_evidence"] == 0


async def test_a_step_is_timed_and_a_killed_session_is_resumed(tmp_path: Path) -> None:
    found = await engines(tmp_path, 1, 1, quiet)
    assert found["overhead"]["steps"] == 10
    assert found["overhead"]["by_tool_ms"]["run_tests"] > found["overhead"]["by_tool_ms"]["list_files"]
    assert found["kills"]["kills"] == 1
    assert 0 < found["kills"]["resume_seconds_median"] <= found["kills"]["rest_seconds_median"]


def test_what_is_not_as_it_must_be_is_said() -> None:
    good: dict[str, Any] = {
        "repairs": {
            "flaws": 2,
            "repaired": {"composed": 2, "dumped": 2, "without_memory": 1, "without_evidence": 0},
            "context_share": 0.1,
        },
        "overhead": {"median_ms": 10.0},
        "kills": {
            "kills": 5,
            "in_flight": 3,
            "lost_sessions": 0,
            "double_proposals": 0,
            "calls_paid_twice": 0,
            "wrong_patches": 0,
        },
    }
    assert misses(good) == []
    for part, name, value in (
        ("kills", "lost_sessions", 1),
        ("kills", "in_flight", 6),
        ("overhead", "median_ms", 31.0),
        ("repairs", "context_share", 0.3),
        ("repairs", "repaired", good["repairs"]["repaired"] | {"composed": 1}),
        ("repairs", "repaired", good["repairs"]["repaired"] | {"without_evidence": 1}),
    ):
        assert len(misses(good | {part: good[part] | {name: value}})) == 1
