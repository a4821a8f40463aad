"""`outerloop pause` and `outerloop resume`: a person stops the loop, or lets it go on."""

import contextlib
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.agents import check_served, nothing_of
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person, publish
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.runtime.errors import OuterloopError
from outerloop.runtime.pause import EVERY

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
