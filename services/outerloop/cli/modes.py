"""`outerloop modes`: what goes wrong, and what a person rules of it."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from outerloop.cli import output
from outerloop.cli.agents import report
from outerloop.cli.ask import query
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person, publish
from outerloop.contracts.v1.mode_pb2 import (
    RULING_MERGE,
    RULING_MUTE,
    RULING_OPEN,
    RULING_SPLIT,
    RULING_UNMUTE,
    ModeRuled,
    Ruling,
)
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import UserError
from outerloop.trace.quote import one_line

_DETAIL = 120  # characters of it in the list; `show` has it whole
_NEVER = 1970  # the year that a join gives for what is not there

_MODES = """
SELECT * FROM failure_modes
WHERE ({agent:String} = '' OR agent = {agent:String})
  AND ({all:Bool} OR state NOT IN ('emerging', 'muted', 'merged'))
ORDER BY failures DESC, title, mode_id
"""
_FOUND = "SELECT * FROM failure_modes WHERE startsWith(mode_id, {mode:String}) ORDER BY mode_id LIMIT 10"
_LIFE = "SELECT state, detail, at FROM mode_states FINAL WHERE mode_id = {mode:String} ORDER BY at"
_EXAMPLES = """
SELECT v.trace_id AS trace_id, v.span_id AS span_id, v.occurred_at AS at, v.agent_version AS version,
       v.model AS model, v.tool AS tool,
       arrayMap(s -> concat(s.kind, ' ', s.subject, ': ', s.detail), v.signals) AS signals,
       o.outliers AS outliers
FROM verdicts AS v FINAL
LEFT JOIN (
    SELECT trace_id, groupArray(concat(kind, ' ', subject, ': ', toString(round(value, 4)), ', usually ',
                                       toString(round(usual, 4)))) AS outliers
    FROM trace_outliers FINAL WHERE trace_id IN {traces:Array(String)} GROUP BY trace_id
) AS o ON o.trace_id = v.trace_id
WHERE v.trace_id IN {traces:Array(String)} ORDER BY v.occurred_at
"""

ModeId = Annotated[str, typer.Argument(help="the mode's id, or enough of its beginning", metavar="MODE")]
Why = Annotated[str, typer.Option("--why", "--reason", help="the reason, for those who come after")]
Who = Annotated[str, typer.Option("--by", "--who", help="who decides; default: the user name")]


class _OrShow(TyperGroup):
    """`outerloop modes MODE` is `outerloop modes show MODE`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; what is none is a mode."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


app = typer.Typer(
    cls=_OrShow, help="Failure modes: what goes wrong, how often, since when; and rulings on them."
)


@app.callback(invoke_without_command=True)
def modes(
    context: typer.Context,
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="also those seen too rarely to act on, muted and merged ones")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Failure modes: what goes wrong, how often, since when, with example traces."""
    if context.invoked_subcommand:
        return
    rows = output.run(query(_MODES, agent=agent, all=everything))
    shown = rows if as_json else [_brief(row) for row in rows]
    hint = "" if everything else "; `outerloop modes --all` shows causes seen only once or twice"
    report(shown, agent, as_json=as_json, empty=f"no failure modes{hint}")


@app.command()
def show(mode: ModeId, *, as_json: AsJson = False) -> None:
    """One mode: what it is, whom it affects, its life, and example traces with the span that went wrong."""
    row = output.run(find(mode))
    steps = output.run(query(_LIFE, mode=row["mode_id"]))
    examples = output.run(query(_EXAMPLES, traces=list(row["examples"])))
    if as_json:
        output.emit(row | {"life": steps, "examples": examples})
        return
    left_out = {"examples", "example_spans"}
    if row["escalated_at"].year == _NEVER:
        left_out |= {"escalated_at", "rising"}
    words = {k: v for k, v in row.items() if k not in left_out and v not in ("", None)}
    output.report(
        [{"": name.replace("_", " "), "mode": value} for name, value in words.items()],
        as_json=False,
        empty="",
    )
    output.report(steps, as_json=False, empty="it was not opened yet")
    output.report(examples, as_json=False, empty="no example is stored")


@app.command()
def merge(mode: ModeId, into: ModeId, *, why: Why, by: Who = "", as_json: AsJson = False) -> None:
    """MODE is the same as INTO: its failures become INTO's, those of the past and those to come."""
    target = output.run(find(into))
    _rule(mode, RULING_MERGE, why, by, as_json=as_json, into=target)


@app.command()
def split(
    mode: ModeId,
    *,
    containing: Annotated[str, typer.Option("--containing", help="text of the sign that tells them apart")],
    why: Why,
    title: Annotated[str, typer.Option("--title", help="what the new mode is called")] = "",
    by: Who = "",
    as_json: AsJson = False,
) -> None:
    """Failures of MODE whose most telling sign contains a text become a mode of their own."""
    if not containing.strip():
        raise UserError("--containing is blank: give a part of what `outerloop modes show` says of them")
    _rule(mode, RULING_SPLIT, why, by, as_json=as_json, containing=containing, title=title)


@app.command()
def mute(mode: ModeId, *, why: Why, by: Who = "", as_json: AsJson = False) -> None:
    """The loop shall not work on MODE; it is still counted."""
    _rule(mode, RULING_MUTE, why, by, as_json=as_json)


@app.command()
def unmute(mode: ModeId, *, why: Why, by: Who = "", as_json: AsJson = False) -> None:
    """MODE is as it was before it was muted."""
    _rule(mode, RULING_UNMUTE, why, by, as_json=as_json)


@app.command("open")
def open_(mode: ModeId, *, why: Why, by: Who = "", as_json: AsJson = False) -> None:
    """MODE is work for the loop again, though the loop gave it up: another eval is drafted for it."""
    _rule(mode, RULING_OPEN, why, by, as_json=as_json)


def _rule(
    mode: str,
    ruling: Ruling,
    why: str,
    by: str,
    *,
    as_json: bool,
    into: dict[str, Any] | None = None,
    containing: str = "",
    title: str = "",
) -> None:
    row = output.run(find(mode))
    _check(row, why, into)
    at, who = now(), person(by)
    into_id = into["mode_id"] if into else ""
    because = (row["mode_id"], ruling, into_id, containing, who, at.isoformat())
    message = ModeRuled(
        ruling_id=stable_id("ruling", *because),
        agent=row["agent"],
        mode_id=row["mode_id"],
        ruling=ruling,
        into_mode_id=into_id,
        containing=containing,
        title=title,
        why=why,
        ruled_by=who,
    )
    message.ruled_at.FromDatetime(at)
    output.run(publish(message, because))
    name = Ruling.Name(ruling).removeprefix("RULING_").lower()
    if as_json:
        output.emit({"ruling_id": message.ruling_id, "ruling": name, "mode_id": row["mode_id"], "by": who})
    else:
        output.say(f"{name} {row['mode_id'][:8]}: {row['title']}")


def _check(row: dict[str, Any], why: str, into: dict[str, Any] | None) -> None:
    if not why.strip():
        raise UserError("--why is blank: say it for those who come after")
    if row["state"] == "merged":
        raise UserError(
            f"mode {row['mode_id']} was merged ({row['detail']}): name the mode that it is in now"
        )
    if into is None:
        return
    if into["mode_id"] == row["mode_id"]:
        raise UserError("a mode cannot be merged into itself")
    if into["agent"] != row["agent"]:
        raise UserError(f"{row['agent']} and {into['agent']} are two agents: their modes have two causes")
    if into["state"] == "merged":
        raise UserError(
            f"mode {into['mode_id']} was merged ({into['detail']}): name the mode that it is in now"
        )


async def find(mode: str) -> dict[str, Any]:
    """The one mode whose id begins so."""
    found = await query(_FOUND, mode=mode)
    if not found:
        raise UserError(f"there is no mode {mode}; `outerloop modes --all` shows them")
    if len(found) > 1:
        raise UserError(f"{mode} is the beginning of {len(found)} modes: give more of the id")
    return found[0]


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    rising = "rising" if row["rising"] else ""
    return {
        "mode": row["mode_id"][:8],
        "agent": row["agent"],
        "state": row["state"],
        "severity": f"{row['severity']} {rising}".strip(),
        "failures": row["failures"],
        "share": f"{100 * row['share']:.1f} %",
        "first_seen": row["first_seen"],
        "last_seen": row["last_seen"],
        "title": row["title"] + (f" ({one_line(row['detail'], _DETAIL)})" if row["detail"] else ""),
        "example": (row["examples"] or [""])[0],
    }
