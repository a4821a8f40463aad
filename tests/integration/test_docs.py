"""What documents tell people to type: commands and options that there are, queries that ClickHouse takes."""

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import typer

from outerloop.cli import app
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.store.migrate import migrate

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *ROOT.glob("services/*.md"), *ROOT.glob("deploy/**/*.md")]
COMMAND = re.compile(r"(?:`|^ +|bin/|… )outerloop ([a-z][^`\n#]*)", re.MULTILINE)
OPTION = re.compile(r"^\[?(--[a-z-]+)")
QUERY = re.compile(r"^\| [^|]+ \| `(SELECT .*)` \|$", re.MULTILINE)


def wrong_with(line: str) -> str:
    """What there is not of a command line, where a|b are two commands; "" when all of it is there."""
    words = line.split()
    told: list[Any] = [typer.main.get_command(app)]
    while words and set(words[0].split("|")) <= set(getattr(told[0], "commands", ())):
        told, words = [told[0].commands[name] for name in words[0].split("|")], words[1:]
    if len(words) == len(line.split()):
        return words[0]
    options = [found[1] for word in words if (found := OPTION.match(word))]
    known = [{name for parameter in command.params for name in parameter.opts} for command in told]
    return next((option for option in options for names in known if option not in names), "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_their_options_exist(document: Path) -> None:
    lines = COMMAND.findall(document.read_text().replace("\\\n", " "))
    assert {line: wrong for line in lines if (wrong := wrong_with(line))} == {}


def test_what_there_is_not_is_found() -> None:
    assert wrong_with("modes mute|unmute MODE --why x") == ""
    assert wrong_with("modes mute|unmute MODE --all") == "--all"
    assert wrong_with("teach --why x") == "teach"


async def test_analysts_queries_are_taken(chdb: str) -> None:
    settings = Settings(clickhouse=chdb, clickhouse_database=f"docs_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    queries = QUERY.findall((ROOT / "README.md").read_text())
    assert len(queries) > 8
    db = ClickHouse(settings)
    try:
        for query in queries:
            assert isinstance(await db.query(query, agent="nobody", at="2026-11-30 12:00:00"), list), query
    finally:
        await db.close()
