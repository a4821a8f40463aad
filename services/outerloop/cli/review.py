"""`outerloop review`: the drafts that wait, one after the other, in the terminal."""

import sys
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.came import came_of, later
from outerloop.cli.cases import load, proof_of, run_of, waiting, words_of
from outerloop.cli.output import AsJson
from outerloop.cli.publish import person
from outerloop.runtime.errors import UserError
from outerloop.store.evals import State


def review(
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    who: Annotated[str, typer.Option("--who", "--by", help="who decides; default: the user name")] = "",
    as_json: AsJson = False,
) -> None:
    """Judge drafted evals, with the keyboard alone; --json lists what there is to judge."""
    cases = output.run(waiting(agent))
    if as_json:
        output.report(
            [
                {
                    "eval": case.record.eval_id,
                    "agent": case.record.agent,
                    "mode_id": case.record.mode_id,
                    "title": case.record.title,
                    "words": words_of(case.record),
                    "proof": proof_of(case.record),
                    "run": [{"text": line.text, "wrong": line.wrong} for line in run_of(case)],
                }
                for case in cases
            ],
            as_json=True,
            empty="",
        )
        return
    if not cases:
        drafts = len(output.run(load(agent, State.PROVING)))
        soon = f" ({drafts} will, when run on the release branch)" if drafts else ""
        output.say(f"nothing waits for review{soon}; `outerloop evals list` shows all evals")
        return
    try:
        from outerloop.cli.reviewing import Reviewing  # noqa: PLC0415 - an extra that services do without
    except ModuleNotFoundError as error:
        raise UserError(
            "the terminal interface is not installed: pip install 'outerloop[review]'; without it,"
            " `outerloop review --json` and `outerloop evals accept|edit|reject` do the same"
        ) from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            f"{len(cases)} drafts wait to be judged in a terminal, and this is none: see `outerloop review"
            " --json` and `outerloop evals accept|edit|reject`"
        )
    app = Reviewing(cases, person(who))
    app.run()
    output.say(f"{len(app.done)} of {len(cases)} judged" + "".join(f"\n{line}" for line in app.done))
    came = output.run(came_of(app.sent))
    for sent, lost in zip(app.sent, came, strict=True):
        if lost is None:
            output.say(f"{sent.record.title}: {later(sent)}")
    if lost_ones := list(filter(None, came)):
        raise UserError("; ".join(lost_ones))
