"""`outerloop gate`: what can be asked of the gate itself."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from outerloop.cli import check, modelmap, output, renew
from outerloop.cli.output import AsJson
from outerloop.runtime.errors import UserError

app = typer.Typer(
    help="Ask the gate: of a change of yours, of simulated agents, of another model.", no_args_is_help=True
)
ScenarioFile = Annotated[Path | None, typer.Option("--scenario", help="a scenario, as JSON")]
Share = Annotated[float, typer.Option(min=0.001, max=100, help="of the decisions, when there is no scenario")]

app.command("check", cls=check.Check)(check.check)
app.command("model")(modelmap.model)
app.command("renew")(renew.renew)


@app.command()
def simulate(*, scenario: ScenarioFile = None, share: Share = 0.1, as_json: AsJson = False) -> None:
    """Play a scenario; without one, this gate beside the rules that people use instead."""
    if scenario is None:
        _play_table(share, as_json=as_json)
        return
    from outerloop.gate.simulate.play import run_scenario  # noqa: PLC0415 (see below)
    from outerloop.gate.simulate.scenario import Scenario  # noqa: PLC0415

    try:
        text = scenario.read_bytes()
    except OSError as error:
        raise UserError(f"{scenario}: {error.strerror}") from error
    answer = asdict(run_scenario(Scenario.from_json(text, str(scenario))))
    if as_json:
        output.emit(answer)
    else:
        output.report([{k: round(v, 4) for k, v in answer.items()}], as_json=False, empty="")


def _play_table(share: float, *, as_json: bool) -> None:
    # Not at the top: scipy takes a second to import, which every other command would wait for.
    from outerloop.gate.simulate.lives import lives  # noqa: PLC0415
    from outerloop.gate.simulate.table import table  # noqa: PLC0415

    rows = [asdict(row) for row in table(share=share)]
    mixed, persistent = lives(share=share)
    if as_json:
        output.emit({"table": rows, "life": asdict(mixed), "persistent": [asdict(row) for row in persistent]})
        return
    output.report([_shown(row) for row in rows], as_json=False, empty="")
    shipped = ", ".join(f"{mixed.shipped[k]} of {n} ({k})" for k, n in sorted(mixed.proposed.items()))
    output.say(f"\nA life of {sum(mixed.proposed.values())} proposals on 200 evals ships {shipped}.")
    output.say("A persistent proposer of 1,000 bad changes on 20 evals:")
    output.report([_shown(asdict(row)) for row in persistent], as_json=False, empty="")


def _shown(row: dict[str, object]) -> dict[str, object]:
    shown = {name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()}
    return {name: "" if v is None else v for name, v in shown.items()}
