"""`outerloop backtest`: what another detector makes of stored traffic, before it replaces the one in use."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.progress import Progress

from outerloop.cli import output
from outerloop.cli.agents import check_known
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now
from outerloop.cli.times import time_of
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import verdicts

_SHOWN = 10


def backtest(
    *,
    detector: Annotated[
        str, typer.Option(help="rules, labels (learned now from all labels), or a version that was learned")
    ],
    since: Annotated[str, typer.Option("--from", help="ISO date or time, in UTC unless it says otherwise")],
    until: Annotated[str, typer.Option("--to", help="the same; default: now")] = "",
    against: Annotated[
        str, typer.Option(help="the one that it would replace, named as --detector")
    ] = "current",
    agent: Annotated[str, typer.Option(help="whose traces; needed where there are several agents")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare two detectors on stored traffic; nothing is changed by it.

    Who fails what, where they differ, and how often each is right by labels that it was not taught by.
    """
    window = (time_of(since, "--from"), time_of(until, "--to") if until else now())
    if window[0] >= window[1]:
        raise UserError(f"--from {window[0].isoformat()} is not before --to {window[1].isoformat()}")
    found = output.run(_compare(agent, against, detector, window))
    if as_json:
        output.emit(found)
        return
    output.report([_standing(found[side]) for side in ("before", "after")], as_json=False, empty="")
    output.report(
        [
            {"traces": "failures to both", "": found["both"]},
            {"traces": "to neither", "": found["neither"]},
            {"traces": f"only to {found['before']['detector']}", "": found["only_before"]},
            {"traces": f"only to {found['after']['detector']}", "": found["only_after"]},
            {"traces": "to both, in another mode", "": found["moved"]},
        ],
        as_json=False,
        empty="",
    )
    modes = [m | {"mode_id": m["mode_id"][:8]} for m in found["modes"][:_SHOWN] if m["before"] != m["after"]]
    output.report(modes, as_json=False, empty="no mode comes, goes or changes")
    examples = [
        {"only": side, "trace": e["trace_id"], "scores": f"{e['score_before']:.2f} → {e['score_after']:.2f}"}
        | {"what": e["title"], "label": {None: "", True: "bad", False: "good"}[e["bad"]]}
        for side in ("before", "after")
        for e in found[f"examples_only_{side}"][: _SHOWN // 2]
    ]
    output.report(examples, as_json=False, empty="they differ on no trace")


def _standing(side: dict[str, Any]) -> dict[str, Any]:
    return {
        "detector": side["detector"],
        "failures": side["failures"],
        "labels": side["labels"],
        "right": f"{side['right']} of {side['called']} calls" if side["labels"] else "",
        "missed": side["missed"],
        "precision": "" if side["precision"] is None else f"{side['precision']:.0%}",
        "recall": "" if side["recall"] is None else f"{side['recall']:.0%}",
    }


async def _compare(
    agent: str, against: str, detector: str, window: tuple[datetime, datetime]
) -> dict[str, Any]:
    from outerloop.triage import backtest as triage  # noqa: PLC0415 - the other commands need not wait for it

    db, console = ClickHouse(common()), output.console()
    try:
        agent = _one(agent, await verdicts.agents(db))
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("learning", total=None)
            before = await triage.detector_of(db, agent, against)
            after = await triage.detector_of(db, agent, detector)

            def progress(done: int, among: int) -> None:
                bar.update(task, description="judging", completed=done, total=among)

            compared = await triage.backtest(db, agent, triage.Pair(before, after), window, progress)
    finally:
        await db.close()
    if not compared.traces:
        raise UserError(
            f"no trace of {agent} began between {window[0].isoformat()} and {window[1].isoformat()}"
        )
    sides = {
        name: {"detector": side.detector, "failures": side.failures}
        | asdict(side.measured)
        | {"precision": side.measured.precision, "recall": side.measured.recall}
        for name, side in (("before", compared.before), ("after", compared.after))
    }
    return {"agent": agent, **asdict(compared), **sides}


def _one(agent: str, known: list[str]) -> str:
    only = agent or (known[0] if len(known) == 1 else "")
    check_known(only, known)
    return only
