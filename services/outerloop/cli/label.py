"""`outerloop label`: what a person says of a trace, and which traces are worth asking a person about."""

from enum import StrEnum
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.asking import ask
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person, publish
from outerloop.contracts.v1.label_pb2 import QUALITY_BAD, QUALITY_GOOD, TraceLabelled
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import verdicts
from outerloop.store.verdicts import Verdict

_LEAST_CHARACTERS = 6
_ASKED, _MOST_ASKED = 10, 200


class Quality(StrEnum):
    """What a trace may be called."""

    GOOD = "good"
    BAD = "bad"


def label(
    trace: Annotated[
        str, typer.Argument(help="the trace's id, or enough of its beginning", metavar="TRACE")
    ] = "",
    quality: Annotated[Quality | None, typer.Argument(help="whether the agent did what it should")] = None,
    *,
    asks: Annotated[
        bool,
        typer.Option("--ask", help="show traces whose label would teach most: --ask [N] --agent A"),
    ] = False,
    agent: Annotated[str, typer.Option("--agent", help="whose traces to ask about")] = "",
    why: Annotated[
        str, typer.Option("--why", "--reason", help="in a few words; bad ones become a mode by it")
    ] = "",
    by: Annotated[str, typer.Option("--by", "--who", help="who says so; default: the user name")] = "",
    as_json: AsJson = False,
) -> None:
    """Say whether a trace is good or bad: triage takes your word for it, and learns from it."""
    if asks:
        ask(_agent(agent), _count(trace), as_json=as_json)
        return
    if not trace or quality is None:
        raise UserError("give a trace and good or bad: outerloop label TRACE good|bad [--why …]")
    verdict = output.run(_find(trace))
    at, who = now(), person(by)
    message = TraceLabelled(
        trace_id=verdict.trace_id,
        agent=verdict.agent,
        quality=QUALITY_GOOD if quality is Quality.GOOD else QUALITY_BAD,
        why=why,
        labelled_by=who,
    )
    message.labelled_at.FromDatetime(at)
    output.run(publish(message, (verdict.trace_id, who, quality.value, at.isoformat())))
    if as_json:
        output.emit({"trace_id": verdict.trace_id, "agent": verdict.agent, "label": quality.value, "by": who})
    else:
        said = "a failure" if verdict.detected else "no failure"
        output.say(f"{verdict.trace_id} is {quality.value}, says {who}; triage called it {said}")


def _agent(agent: str) -> str:
    if not agent:
        raise UserError(
            "name the --agent whose traces are to be labelled: outerloop label --ask [N] --agent A"
        )
    return agent


def _count(number: str) -> int:
    if not number:
        return _ASKED
    if not number.isdecimal() or not 0 < int(number) <= _MOST_ASKED:
        raise UserError(f"--ask {number}: give a number of traces from 1 to {_MOST_ASKED}, or none")
    return int(number)


async def _find(trace_id: str) -> Verdict:
    if len(trace_id) < _LEAST_CHARACTERS:
        raise UserError(f"{trace_id!r} is too short: give {_LEAST_CHARACTERS} characters of the id or more")
    db = ClickHouse(common())
    try:
        found = await verdicts.beginning_with(db, trace_id.lower())
    finally:
        await db.close()
    if not found:
        raise UserError(f"no trace {trace_id} was judged; `outerloop modes` shows examples")
    if len(found) > 1:
        raise UserError(f"{trace_id} is the beginning of several traces: give more of the id")
    return found[0]
