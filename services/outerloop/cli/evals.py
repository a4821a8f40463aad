"""`outerloop evals`: what a person says of a draft."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from outerloop.cli import exchange, output, tryout
from outerloop.cli.agents import report
from outerloop.cli.came import came_of, later
from outerloop.cli.cases import find, held_out_of, load, proof_of, words_of
from outerloop.cli.output import AsJson
from outerloop.cli.publish import person
from outerloop.cli.texts import text_of
from outerloop.cli.verdicts import DONE, say
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_EDIT,
    REVIEW_MUTE,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
    REVIEW_RETIRE,
    Review,
)
from outerloop.evals.expect.base import NAMED
from outerloop.evals.schema import schema_text
from outerloop.runtime.errors import UserError
from outerloop.store.evals import EvalRecord, State

app = typer.Typer(
    help="Look at drafted evals, accept, edit or reject them; retire accepted ones.", no_args_is_help=True
)
EvalId = Annotated[str, typer.Argument(help="the eval's id, or enough of its beginning", metavar="EVAL")]
Who = Annotated[str, typer.Option("--who", "--by", help="who decides; default: the user name")]
Reason = Annotated[str, typer.Option("--reason", "--why", help="why, for those who come after")]


@app.command("list")
def list_(
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    state: Annotated[State | None, typer.Option(help="in this state only")] = None,
    as_json: AsJson = False,
) -> None:
    """Evals with their proof on recorded traces."""
    rows = [
        {
            "eval": r.eval_id if as_json else r.eval_id[:8],
            "agent": r.agent,
            "mode_id": r.mode_id if as_json else r.mode_id[:8],
            "state": r.state.value,
            "failing_caught": f"{r.failing_caught}/{r.failing}",
            "healthy_passed": f"{r.healthy_passed}/{r.healthy}",
            "mutants_killed": f"{r.mutants_killed}/{r.mutants}",
            "reproduction": r.reproduction.value,
            "reviewer": r.reviewer,
            "title": r.title,
        }
        for r in output.run(load(agent, state))
    ]
    empty = "no evals yet: a failure mode must open first (`outerloop modes`)"
    report(rows, agent, as_json=as_json, empty=empty)


@app.command()
def show(
    eval_id: EvalId,
    *,
    variants: Annotated[bool, typer.Option("--variants", help="with its held-out variants")] = False,
    as_json: AsJson = False,
) -> None:
    """One eval: in plain words with its proof, then as it will stand in the suite."""
    record = output.run(find(eval_id))
    held = output.run(held_out_of(record)) if variants else ()
    if as_json:
        shown = [each.variant.model_dump(mode="json", context=NAMED) for each in held]
        output.emit(_shown(record) | ({"held_out": shown} if variants else {}))
        return
    output.write(f"{record.title}\n\nA good run " + "; ".join(words_of(record)) + ".")
    reviewed = f" by {record.reviewer}" if record.reviewer else ""
    noted = record.state is State.DRAFTED  # then the proof says it
    why = f": {record.reason}" if record.reason and not noted else ""
    output.write("\n" + "\n".join(proof_of(record)) + f"\nState: {record.state.value}{reviewed}{why}.")
    output.write(f"\n{record.eval_yaml}\n{len(record.cassette.calls)} recorded tool calls")
    for number, each in enumerate(held, start=1):
        calls = len(each.cassette.calls)
        output.write(f"\nHeld-out variant {number}, {calls} recorded tool calls:\n{each.variant.to_yaml()}")


def _shown(record: EvalRecord) -> dict[str, Any]:
    return {
        "eval": record.eval.model_dump(mode="json"),
        "words": words_of(record),
        "state": record.state.value,
        "reviewer": record.reviewer,
        "reason": record.reason,
        "tries": record.tries,
        "variants": record.variants,
        "proof": {
            "failing_caught": record.failing_caught,
            "failing": record.failing,
            "healthy_passed": record.healthy_passed,
            "healthy": record.healthy,
            "recall": record.recall,
            "precision": record.precision,
            "mutants_killed": record.mutants_killed,
            "mutants": record.mutants,
            "mutants_equivalent": record.mutants_equivalent,
            "survivors": record.survivors,
            "flake_rate": record.flake_rate,
            "reproduction": record.reproduction.value,
            "base_commit": record.base_commit,
            "base_passed": record.base_passed,
            "base_trials": record.base_trials,
        },
    }


@app.command()
def schema() -> None:
    """The JSON Schema of eval.yaml, for editors and other programs."""
    sys.stdout.write(schema_text())


app.command("import")(exchange.import_)
app.command()(exchange.export)
app.command()(exchange.record)
app.command("judge")(exchange.judge)
app.command("run")(tryout.run)
app.command("diff")(tryout.diff)


@app.command()
def accept(
    eval_id: EvalId,
    *,
    reason: Annotated[str, typer.Option("--reason", "--why", help="what speaks for it")] = "",
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Make an eval binding: from now on no change ships that does not pass it."""
    _decide(eval_id, REVIEW_ACCEPT, who, reason, as_json=as_json)


@app.command()
def edit(
    eval_id: EvalId,
    *,
    file: Annotated[Path, typer.Option("--file", help="eval.yaml as it should be; `evals show` has it")],
    reason: Reason,
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Replace a draft by your own text: it is proven again, and waits for review again."""
    _decide(eval_id, REVIEW_EDIT, who, reason, as_json=as_json, eval_yaml=text_of(file))


@app.command()
def reject(eval_id: EvalId, *, reason: Reason, who: Who = "", as_json: AsJson = False) -> None:
    """Refuse a draft: another one is written, by somebody who knows the reason."""
    _decide(eval_id, REVIEW_REJECT, who, reason, as_json=as_json)


@app.command("not-a-failure")
def not_a_failure(eval_id: EvalId, *, reason: Reason, who: Who = "", as_json: AsJson = False) -> None:
    """Say that what a draft was written from is no failure: triage keeps it as a label."""
    _decide(eval_id, REVIEW_NOT_A_FAILURE, who, reason, as_json=as_json)


@app.command()
def mute(eval_id: EvalId, *, reason: Reason, who: Who = "", as_json: AsJson = False) -> None:
    """Leave a failure as it is: the loop shall not work on its mode."""
    _decide(eval_id, REVIEW_MUTE, who, reason, as_json=as_json)


@app.command()
def retire(eval_id: EvalId, *, reason: Reason, who: Who = "", as_json: AsJson = False) -> None:
    """Take an accepted eval out of what binds; its tombstone stands on the suite branch for ever."""
    _decide(eval_id, REVIEW_RETIRE, who, reason, as_json=as_json)


def _decide(
    eval_id: str, verdict: Review, who: str, reason: str, *, as_json: bool, eval_yaml: str = ""
) -> None:
    record, reviewer = output.run(find(eval_id)), person(who)
    sent = output.run(say(record, verdict, who=reviewer, reason=reason, eval_yaml=eval_yaml))
    (lost,) = output.run(came_of([sent]))
    if lost:
        raise UserError(lost)
    if as_json:
        said = {"eval": record.eval_id, "review": DONE[verdict], "reviewer": reviewer, "taken": lost == ""}
        output.emit(said | ({"commit": sent.commit} if sent.commit else {}))
        return
    where = f" (tombstone {sent.commit[:12]})" if sent.commit else ""
    output.say(f"{DONE[verdict]}: eval {record.eval_id[:8]}: {record.title}{where}")
    if lost is None:
        output.say(later(sent))
