"""`outerloop detectors`: who judges each agent's traces, how well, and what else was learned."""

from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.agents import check_known, report
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person, publish
from outerloop.contracts.v1.detector_pb2 import DetectorChosen
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import detectors as store
from outerloop.store import labels, verdicts
from outerloop.store.detectors import RULES, Decision, Learned
from outerloop.store.labels import Truth
from outerloop.triage.core.measuring import LEAST_CALLED, LEAST_OF_EACH, Measured
from outerloop.triage.core.signals import DETECTOR

app = typer.Typer(help="Detectors: who judges an agent's traces.", invoke_without_command=True)


@app.callback()
def detectors(
    context: typer.Context,
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    history: Annotated[bool, typer.Option("--all", help="every detector that was learned")] = False,
    as_json: AsJson = False,
) -> None:
    """Who judges each agent's traces: the rules or a learned detector, its precision, and why it is in use.

    Precision is of labelled traces that it was not taught by; `rules_precision`: of the rules on the same.
    """
    if context.invoked_subcommand:
        return
    rows = output.run(_rows(agent, everything=history))
    shown = rows if as_json else [_brief(row) for row in rows]
    report(shown, agent, as_json=as_json, empty="no trace was judged yet")


@app.command("adopt")
def adopt(
    version: Annotated[str, typer.Argument(help="as `outerloop detectors --all` lists it, or: rules")],
    *,
    agent: Annotated[str, typer.Option("--agent", help="whose traces it judges from now on")],
    why: Annotated[str, typer.Option("--why", "--reason", help="in a few words")] = "",
    by: Annotated[str, typer.Option("--by", "--who", help="who says so; default: the user name")] = "",
    as_json: AsJson = False,
) -> None:
    """Have a detector judge an agent's traces from now on.

    `rules` stay until a person adopts another one. What was judged stays as it is: see `outerloop replay`.
    """
    output.run(_known(agent, version))
    at, who = now(), person(by)
    message = DetectorChosen(agent=agent, version=version, reason=why, chosen_by=who)
    message.chosen_at.FromDatetime(at)
    output.run(publish(message, (agent, version, who, at.isoformat())))
    if as_json:
        output.emit({"agent": agent, "version": version, "by": who})
    else:
        output.say(f"{version} judges the traces of {agent} from now on, says {who}")


async def _known(agent: str, version: str) -> None:
    db = ClickHouse(common())
    try:
        known = [RULES, *(each.version for each in await store.of_agent(db, agent))]
        agents = await verdicts.agents(db)
    finally:
        await db.close()
    check_known(agent, agents)
    if version not in known:
        raise UserError(f"{agent} has no detector {version}; it has: {', '.join(known)}")


async def _rows(agent: str, *, everything: bool) -> list[dict[str, Any]]:
    db = ClickHouse(common())
    try:
        judged = [name for name in await verdicts.agents(db) if agent in {"", name}]
        learned, decided = await store.of_agent(db, agent), await store.decisions(db, agent)
        rows: list[dict[str, Any]] = []
        for name in judged:
            own = [each for each in learned if each.agent == name]
            about = [each for each in decided if each.agent == name]
            rows += _of_agent(name, own, about, await labels.truths(db, name))
        return rows if everything else [row for row in rows if row["in_use"]]
    finally:
        await db.close()


def _of_agent(
    agent: str, learned: list[Learned], decided: list[Decision], truths: list[Truth]
) -> list[dict[str, Any]]:
    adopted = next((each for each in decided if each.adopted), None)
    chosen = adopted.version if adopted else RULES
    # Rules of another version made figures of their own: what was learned from those is of no use to these.
    stale = chosen != RULES and not chosen.startswith(f"{DETECTOR}+")
    used = next((each for each in learned if each.version == chosen and not stale), None)
    good = sum(truth.good for truth in truths)
    common_ = {"agent": agent, "labels_good": good, "labels_bad": len(truths) - good}
    waits = next((d for d in decided if not d.adopted and d.version.startswith(f"{DETECTOR}+")), None)
    why = f"{chosen} is of other rules: learned anew soon" if stale else _lacking(good, len(truths), waits)
    rules = {
        **common_,
        "version": RULES,
        "detector": DETECTOR,
        "in_use": used is None,
        "state": why,
        **_measures(None),
        **_decision(adopted if chosen == RULES else None),
    }
    about = {each.version: each for each in reversed(decided)}
    rows = [
        {
            **common_,
            "version": each.version,
            "detector": each.detector,
            "in_use": each is used,
            "state": "learned" if each.ready else _lacking(each.good, each.labels),
            **_measures(each),
            **_decision(about.get(each.version)),
        }
        for each in learned
    ]
    return sorted([rules, *rows], key=lambda row: not row["in_use"])


def _lacking(good: int, labels: int, waits: Decision | None = None) -> str:
    bad = labels - good
    if min(good, bad) < LEAST_OF_EACH:
        return f"rules: {good} good and {bad} bad labels are too few, {LEAST_OF_EACH} of each are needed"
    return f"rules: {waits.version} was not adopted: {waits.reason}" if waits else "rules: learns soon"


def _measures(learned: Learned | None) -> dict[str, Any]:
    one = learned and Measured(learned.labels, learned.called, learned.right, learned.missed)
    rules = learned and Measured(
        learned.labels, learned.rules_called, learned.rules_right, learned.rules_missed
    )
    return {
        "labels": learned.labels if learned else 0,
        "called": learned.called if learned else 0,
        "precision": one and one.precision,
        "recall": one and one.recall,
        "rules_precision": rules and rules.precision,
        "rules_recall": rules and rules.recall,
        "learned_at": learned and learned.learned_at,
    }


def _decision(decision: Decision | None) -> dict[str, Any]:
    return {
        "adopted": bool(decision and decision.adopted),
        "decided_by": decision.decided_by if decision else "",
        "reason": decision.reason if decision else "",
        "decided_at": decision.decided_at if decision else None,
    }


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    unknown = f"unknown ({row['called']} calls, {LEAST_CALLED} are needed)"
    return {
        "agent": row["agent"],
        "version": row["version"],
        "in use": "yes" if row["in_use"] else "",
        "state": row["state"],
        "labels": f"{row['labels_good']} good, {row['labels_bad']} bad",
        "precision": unknown if row["precision"] is None else f"{row['precision']:.0%}",
        "recall": "" if row["recall"] is None else f"{row['recall']:.0%}",
        "rules' precision": "" if row["rules_precision"] is None else f"{row['rules_precision']:.0%}",
        "why": f"{row['reason']} ({row['decided_by']})" if row["decided_by"] else "",
    }
