"""`outerloop gate check`: the gate for people's changes, in any CI; it needs no Kafka and no ClickHouse."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from outerloop.cli import output
from outerloop.cli.output import AsJson
from outerloop.contracts.v1.decision_pb2 import VERDICT_INCONCLUSIVE, VERDICT_SHIP, DecisionReached
from outerloop.gate.settings import GateSettings
from outerloop.runtime.errors import OuterloopError, UserError
from outerloop.runtime.settings import load
from outerloop.store.decisions import verdict_of
from outerloop.store.trials import TrialRecord

REJECTED, INCONCLUSIVE, COULD_NOT_RUN = 1, 2, 3


class Check(TyperCommand):
    """A command line that cannot be read is no verdict: click's own exit code for it, 2, is inconclusive."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click, whose types are private to typer."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "exit_code", 0):  # 0: --help
                vars(error)["exit_code"] = COULD_NOT_RUN
            raise


def check(
    *,
    base: Annotated[str, typer.Option(help="what production runs: a branch or commit")],
    head: Annotated[str, typer.Option(help="the change; must contain the base")],
    agent: Annotated[Path, typer.Option(help="the agent's repository", file_okay=False)] = Path(),
    as_json: AsJson = False,
    junit: Annotated[bool, typer.Option("--junit", help="JUnit XML on stdout")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown on stdout")] = False,
) -> None:
    """Put a person's change before the gate. Exit code: 0 ship, 1 reject, 2 inconclusive, 3 could not run."""
    try:
        form = _form(json=as_json, junit=junit, markdown=markdown)
        decision = _judge(agent, base, head)
        _show(decision, form)
    except OuterloopError as error:
        output.say(f"outerloop: {error}")
        sys.exit(COULD_NOT_RUN)
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - a bug or ^C: Python's own exit code, 1, is reject
        traceback.print_exc()
        sys.exit(COULD_NOT_RUN)
    if code := code_of(decision):
        sys.exit(code)


def code_of(decision: DecisionReached) -> int:
    """The exit code that says a verdict."""
    return {VERDICT_SHIP: 0, VERDICT_INCONCLUSIVE: INCONCLUSIVE}.get(decision.verdict, REJECTED)


def _form(**asked: bool) -> str:
    forms = [form for form, is_asked in asked.items() if is_asked]
    if len(forms) > 1:
        raise UserError("choose one of --json, --junit and --markdown")
    return forms[0] if forms else ""


def _judge(agent: Path, base: str, head: str) -> DecisionReached:
    # Not at the top: numpy and scipy take a second, which every other command would wait for.
    from outerloop.gate.people import check as people  # noqa: PLC0415

    return output.run(people.check(agent.absolute(), base, head, load(GateSettings), teller()))


def _show(decision: DecisionReached, form: str) -> None:
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415

    from outerloop.gate.people import report  # noqa: PLC0415

    titles = [(outcome.eval_id, outcome.title) for outcome in decision.outcomes]
    if form == "json":
        said = MessageToDict(
            decision, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        output.emit(said | {"verdict": verdict_of(decision)})
    elif form == "junit":
        sys.stdout.write(report.junit(decision) + "\n")
    elif form == "markdown":
        sys.stdout.write(report.markdown(decision, titles))
    else:
        named = dict(titles)
        rows = [
            {
                "claim": claim.kind,
                "eval": named.get(claim.name, claim.name),
                "state": claim.state,
                "passed": f"{claim.passed}/{claim.trials}",
                "bar": claim.bar,
            }
            for claim in decision.claims
        ]
        output.report(rows, as_json=False, empty="no claim was tried")
        output.write(f"{verdict_of(decision)}{': ' if decision.reason else ''}{decision.reason}")


def teller() -> Callable[[TrialRecord], None]:
    """Tells people of every trial, on stderr."""
    number = 0

    def tell(record: TrialRecord) -> None:
        nonlocal number
        number += 1
        # On one line: a CI system reads lines of its log as commands.
        why = " ".join("; ".join(record.reasons).split())[:200]
        passed = "passed" if record.passed else f"failed: {why}"
        output.say(f"trial {number}: {record.subject}, eval {record.eval_id[:8]} #{record.number}: {passed}")

    return tell
