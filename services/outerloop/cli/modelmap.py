"""`outerloop gate model`: which evals another model would break, before anyone moves to it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.check import teller
from outerloop.cli.output import AsJson
from outerloop.gate.settings import GateSettings
from outerloop.runtime.settings import load


def model(
    *,
    to: Annotated[str, typer.Option(help="the model that would take the place of the agent's")],
    base: Annotated[str, typer.Option(help="the release: a branch or commit")] = "HEAD",
    agent: Annotated[Path, typer.Option(help="the agent's repository", file_okay=False)] = Path(),
    as_json: AsJson = False,
) -> None:
    """Run every eval of the suite with another model, each to its own verdict. Nothing ships."""
    from outerloop.gate.people import modelmap  # noqa: PLC0415 - numpy and scipy take a second to import

    chart = output.run(modelmap.chart(agent.absolute(), base, to, load(GateSettings), teller()))
    rows = [_row(charted) for charted in chart.evals]
    if as_json:
        output.emit({"agent": chart.agent, "commit": chart.commit, "model": to, "evals": rows})
        return
    output.report(rows, as_json=False, empty="the suite has no evals")
    broken = sum(row["reading"] == "broken" for row in rows)
    output.say(f"{to} breaks {broken} of {len(rows)} evals of {chart.agent} (of these, at most 10 % wrongly)")


def _row(charted: Any) -> dict[str, Any]:
    evidence = charted.place.evidence
    return {
        "reading": charted.place.reading.value,
        "eval": charted.eval_id,
        "title": charted.title,
        "passed": evidence.passes,
        "trials": evidence.trials,
        "bar": evidence.bar,
        "log_e_broken": round(evidence.dn, 2),
        "reasons": list(charted.reasons[:3]),
    }
