"""`outerloop triage judge`: how far the judging model agrees with people, if it decides, what it costs."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import load
from outerloop.store import judge_calls, opinions
from outerloop.store.judge_calls import Bill
from outerloop.store.opinions import Standing
from outerloop.store.spending import today
from outerloop.triage.settings import TriageSettings
from outerloop.triage.trust import agreement_of, lacks, precision_of

_AGAINST = 20  # opinions that people contradict, shown so that somebody may look who is right


def judge(
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    as_json: AsJson = False,
) -> None:
    """The judging model beside people: its confusion matrix, whether it decides yet, and its cost."""
    settings = load(TriageSettings)
    rows = output.run(_rows(agent, settings.triage_judge_precision))
    if as_json:
        output.report(rows, as_json=True, empty="")
        return
    if not rows:
        output.say("no model has judged anything: it takes ANTHROPIC_API_KEY and OUTERLOOP_TRIAGE_MODEL")
    for row in rows:
        _tell(row)


async def _rows(agent: str, least_precision: float) -> list[dict[str, Any]]:
    db = ClickHouse(common())
    try:
        known = await opinions.standings(db, [agent] if agent else [])
        paid = {(bill.agent, bill.model): bill for bill in await judge_calls.bills(db, today())}
        return [
            _row(one, least_precision, paid.get((one.agent, one.model)))
            | {
                "against_people": [
                    asdict(a) for a in await opinions.against_people(db, one, at_most=_AGAINST)
                ]
            }
            for one in known
        ]
    finally:
        await db.close()


def _row(one: Standing, least_precision: float, bill: Bill | None) -> dict[str, Any]:
    measured = agreement_of(one)
    precision = precision_of(one)
    lacking = lacks(one, least_precision)
    agreed = one.good_good + one.bad_bad
    return asdict(one) | {
        "labelled": measured.labelled,
        "agreement": round(agreed / measured.labelled, 4) if measured.labelled else None,
        "kappa": round(measured.kappa, 4) if measured.labelled else None,
        "precision": None if precision is None else round(precision, 4),
        "decides": not lacking,
        "lacks": lacking,
        "usd": round(bill.usd, 6) if bill else 0.0,
        "usd_today": round(bill.usd_since, 6) if bill else 0.0,
        "away": bill.away if bill else 0,
    }


def _tell(row: dict[str, Any]) -> None:
    output.write(f"{row['agent']}: {row['model']}, prompt {row['prompt']}, {row['opinions']} opinions")
    matrix = [
        {"people say": "good", "judge: good": row["good_good"], "judge: bad": row["good_bad"]},
        {"people say": "bad", "judge: good": row["bad_good"], "judge: bad": row["bad_bad"]},
    ]
    output.report(matrix, as_json=False, empty="")
    measured = {name: row[name] for name in ("agreement", "kappa", "precision") if row[name] is not None}
    counted = {name: row[name] for name in ("said_bad", "unsure", "useless", "away", "usd_today", "usd")}
    output.report([measured | counted], as_json=False, empty="")
    output.write("it decides" if row["decides"] else f"it decides nothing: {row['lacks']}")
    if row["against_people"]:
        output.report(row["against_people"], as_json=False, empty="")
