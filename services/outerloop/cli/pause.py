"""`outerloop pause` and `outerloop resume`: a person stops the loop, or lets it go on."""

import contextlib
from typing import Annotated

import typer
from google.protobuf.message import DecodeError

from outerloop.cli import output
from outerloop.cli.agents import check_served, nothing_of
from outerloop.cli.config import common
from outerloop.cli.kafka import records
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person, publish
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.runtime.errors import OuterloopError
from outerloop.runtime.pause import EVERY
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topic_of

Agent = Annotated[
    str,
    typer.Argument(help="one agent; without it the whole loop", metavar="[AGENT]", show_default=False),
]
Who = Annotated[str, typer.Option("--who", "--by", help="who decides; default: the user name")]


def pause(
    agent: Agent = EVERY,
    *,
    reason: Annotated[str, typer.Option("--reason", "--why", help="why, for those who come after")] = "",
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Stop spending: no further call or trial is begun, one under way ends. Nothing is lost: see `resume`."""
    _say(agent, paused=True, reason=reason, who=who, as_json=as_json)


def resume(agent: Agent = EVERY, *, who: Who = "", as_json: AsJson = False) -> None:
    """Let the loop go on from where it was paused."""
    _say(agent, paused=False, reason="", who=who, as_json=as_json)
    for still, why in output.run(paused(common())).items():
        if agent == EVERY or still == "all":
            output.say(f"{'the whole loop' if still == 'all' else still} is still paused {why}")


async def paused(settings: Settings) -> dict[str, str]:
    """What is paused now, by whom and why; "all" for the whole loop."""
    said: dict[str, LoopPaused] = {}
    for record in await records(settings, topic_of(LoopPaused).name):
        with contextlib.suppress(DecodeError):  # services leave it out, too
            message = LoopPaused.FromString(record.value)
            said[message.agent] = message
    return {
        "all" if agent == EVERY else agent: f"by {last.by}: {last.reason or 'no reason given'}"
        for agent, last in sorted(said.items())
        if last.paused
    }


def _say(agent: str, *, paused: bool, reason: str, who: str, as_json: bool) -> None:
    if agent != EVERY:
        check_served(agent)
    message = LoopPaused(agent=agent, paused=paused, by=person(who), reason=reason)
    at = now()
    message.at.FromDatetime(at)
    output.run(publish(message, (message.agent, paused, at.isoformat())))
    if as_json:
        output.emit({"agent": "all" if agent == EVERY else agent, "paused": paused, "by": message.by})
    else:
        output.say(f"{'the loop' if agent == EVERY else agent} {'is paused' if paused else 'goes on'}")
    if agent != EVERY:
        # Said afterwards, and only where ClickHouse answers: what stops the loop must not wait for it.
        with contextlib.suppress(OuterloopError):
            if why := nothing_of(agent, ""):
                output.say(f"is that its name? {why}")
