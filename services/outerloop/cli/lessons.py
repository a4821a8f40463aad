"""`outerloop lessons`: what later attempts are told, from rejected changes and from people."""

from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.agents import check_served, report
from outerloop.cli.config import common
from outerloop.cli.modes import find
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person, publish
from outerloop.contracts.v1.loop_pb2 import LessonNoted
from outerloop.propose.context import ITEM_CHARS
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import UserError
from outerloop.store import lessons as store
from outerloop.store.lessons import LessonRecord, State, Tally

app = typer.Typer(help="What later attempts are told: list, add, retire.", no_args_is_help=True)
Who = Annotated[str, typer.Option("--who", "--by", help="who says so; default: the user name")]


@app.command("list")
def list_(
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    everything: Annotated[bool, typer.Option("--all", help="also those that are retired")] = False,
    as_json: AsJson = False,
) -> None:
    """Lessons, with how many attempts shipped that were told, and how many of the others."""
    known, tallies = output.run(_load(agent))
    rows = [
        {
            "lesson": r.lesson_id if as_json else r.lesson_id[:8],
            "agent": r.agent,
            "mode_id": r.mode_id if as_json else r.mode_id[:8],
            "origin": r.origin.value,
            "state": r.state.value,
            "shipped_with": _share(t.shipped_with, t.tried_with),
            "shipped_without": _share(t.shipped_without, t.tried_without),
            "text": r.text,
        }
        for r in known
        if (everything or r.state is State.ACTIVE) and (t := tallies.get(r.lesson_id, Tally()))
    ]
    empty = "nothing was learned yet: no change was rejected"
    report(rows, agent, as_json=as_json, empty=empty)


@app.command()
def add(
    text: Annotated[str, typer.Argument(help="what to heed, in a sentence or two")],
    *,
    agent: Annotated[str, typer.Option(help="the agent that it is about")],
    mode: Annotated[
        str, typer.Option(help="the one mode that it is about, by the beginning of its id; default: all")
    ] = "",
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Tell later attempts something."""
    if not text.strip():
        raise UserError("the lesson is empty: say what attempts are to heed")
    if len(text) > ITEM_CHARS:
        raise UserError(f"the lesson has {len(text)} characters; attempts are shown {ITEM_CHARS} of one")
    check_served(agent)
    mode_id = _mode_of(agent, mode) if mode else ""
    at = now()
    lesson_id = stable_id("lesson", agent, mode_id, text, at.isoformat())
    message = LessonNoted(
        lesson_id=lesson_id, agent=agent, mode_id=mode_id, text=text.strip(), by=person(who)
    )
    message.noted_at.FromDatetime(at)
    output.run(publish(message, (lesson_id, "added")))
    _done(lesson_id, "added", as_json=as_json)


@app.command()
def retire(
    lesson: Annotated[str, typer.Argument(help="the lesson's id, or enough of its beginning")],
    *,
    reason: Annotated[str, typer.Option("--reason", "--why", help="why, for those who come after")],
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Tell later attempts no more of a lesson; it stays on record."""
    if not reason.strip():
        raise UserError("--reason is blank: say it for those who come after")
    found = [r for r in output.run(_load(""))[0] if r.lesson_id.startswith(lesson)]
    if len(found) != 1 or not lesson:
        raise UserError(
            f"{len(found)} lessons have an id that begins with {lesson!r}: see `outerloop lessons list`"
        )
    message = LessonNoted(
        lesson_id=found[0].lesson_id, agent=found[0].agent, retired=True, by=person(who), reason=reason
    )
    message.noted_at.FromDatetime(now())
    output.run(publish(message, (found[0].lesson_id, "retired", message.noted_at.ToJsonString())))
    _done(found[0].lesson_id, "retired", as_json=as_json)


def _mode_of(agent: str, beginning: str) -> str:
    row = output.run(find(beginning))
    if row["agent"] != agent:
        raise UserError(f"mode {row['mode_id']} is of the agent {row['agent']}, not of {agent}")
    return str(row["mode_id"])


def _done(lesson_id: str, what: str, *, as_json: bool) -> None:
    if as_json:
        output.emit({"lesson": lesson_id, "done": what})
    else:
        output.say(f"{what} lesson {lesson_id[:8]}")


def _share(shipped: int, tried: int) -> str:
    return f"{shipped}/{tried}"


async def _load(agent: str) -> tuple[list[LessonRecord], dict[str, Tally]]:
    db = ClickHouse(common())
    try:
        return await store.of_agent(db, agent), await store.tallies(db, agent)
    finally:
        await db.close()
