"""`outerloop evals import|export|judge`: evals from and for other tools, and judges measured."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.cli.publish import person, publish
from outerloop.cli.texts import text_of
from outerloop.contracts.v1.eval_pb2 import EvalImported
from outerloop.evals.cassette import recording
from outerloop.evals.exchange.case import Case
from outerloop.evals.exchange.read import Format, entry_of, read
from outerloop.evals.exchange.write import inspect_samples, promptfoo
from outerloop.evals.expect.judged import Agreement, Judge
from outerloop.evals.model import Eval, as_yaml
from outerloop.evals.suite import Entry, files_of
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.documents import parse_yaml
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import ModelSettings, load
from outerloop.store import evals as store
from outerloop.store import spans
from outerloop.store.evals import State
from outerloop.trace.model import Trace

File = Annotated[Path, typer.Argument(help="the file", exists=True, dir_okay=False)]
_IN = typer.Option(exists=True, dir_okay=False)


def import_(
    file: File,
    *,
    agent: Annotated[str, typer.Option(help="the agent whose evals they are to be")],
    to: Annotated[Path, typer.Option(help="the folder that they are written to")] = Path("evals-imported"),
    format_: Annotated[Format | None, typer.Option("--format", help="where the file does not tell")] = None,
    items: Annotated[Path | None, _IN] = None,
    review: Annotated[bool, typer.Option("--review", help="as drafts for review, in no folder")] = False,
    who: Annotated[str, typer.Option("--who", "--by", help="who imports them; default: the user name")] = "",
    as_json: AsJson = False,
) -> None:
    """Take over evals of promptfoo, DeepEval, Inspect or OpenAI; what they say that ours cannot is listed."""
    given = text_of(items) if items else ""
    source, cases = read(text_of(file), str(file), format_, given)
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for case in cases:
        entry = entry_of(case, agent, source, now)
        if review:
            output.run(_sent(entry, case, person(who), now))
        else:
            _write(entry, to)
        rows.append(
            {
                "eval": entry.eval.id,
                "case": case.name,
                "expects": [check.words for check in case.expect],
                "calls": len(case.calls),
                "lost": [str(each) for each in case.lost],
            }
        )
    if as_json:
        output.emit({"format": source.value, "folder": "" if review else str(to), "evals": rows})
        return
    output.report([row | {"lost": len(row["lost"])} for row in rows], as_json=False, empty="")
    for row in rows:
        for sentence in row["lost"]:
            output.write(f"not taken over: {sentence} (in {row['case']})")
    where = "wait for review (`outerloop review`)" if review else f"are in {to}"
    output.say(f"{len(rows)} evals of {source.value} {where}")


def _write(entry: Entry, to: Path) -> None:
    for path, content in files_of(entry).items():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_bytes(content)


async def _sent(entry: Entry, case: Case, who: str, at: datetime) -> None:
    message = EvalImported(
        eval_id=entry.eval.id,
        agent=entry.eval.agent,
        eval_yaml=entry.eval.to_yaml(),
        cassette_jsonl=entry.cassette.to_jsonl(),
        lost=map(str, case.lost),
        imported_by=who,
    )
    message.imported_at.FromDatetime(at)
    await publish(message, (entry.eval.id, entry.eval.agent))


def export(
    *,
    to: Annotated[Path, typer.Option(help="the file to write")],
    as_promptfoo: Annotated[bool, typer.Option("--promptfoo", help="a promptfoo configuration")] = False,
    as_inspect: Annotated[bool, typer.Option("--inspect", help="Inspect samples as JSON lines")] = False,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="a folder of evals in their place", exists=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write accepted evals for promptfoo or Inspect; what those cannot say is listed."""
    if as_promptfoo == as_inspect:
        raise UserError("choose one of --promptfoo and --inspect")
    evals = _in_folder(folder) if folder else output.run(_accepted(agent))
    if not evals:
        raise UserError("there is no accepted eval to export: see `outerloop evals list`")
    text, lost = promptfoo(evals) if as_promptfoo else inspect_samples(evals)
    to.write_text(text, encoding="utf-8")
    if as_json:
        output.emit({"file": str(to), "evals": len(evals), "lost": lost})
        return
    for sentence in lost:
        output.write(f"not said there, {sentence}")
    output.say(f"{len(evals)} evals are in {to}")


def judge(
    file: File,
    *,
    labels: Annotated[Path, typer.Option(help='lines of {"trace_id", "holds"}, by people', exists=True)],
    as_json: AsJson = False,
) -> None:
    """Measure how far a judge (YAML: rubric, model) agrees with people, and write its expectation."""
    asked = parse_yaml(Judge, text_of(file), str(file))
    labelled = _labels(text_of(labels), str(labels))
    measured = output.run(_measure(asked, labelled))
    if as_json:
        said = {"kappa": measured.kappa, "lacks": measured.lacks}
        output.emit({"judge": asked.model_dump(), "agreement": measured.model_dump(), **said})
        return
    output.write(f"{measured.table}\n\nCohen's kappa {measured.kappa:.2f} on {measured.labelled} traces.")
    if measured.lacks:
        raise UserError(f"the judge may not be used: {measured.lacks}")
    output.write(f"\ncheck: judged\njudge:\n{_indented(asked)}agreement:\n{_indented(measured)}")


def record(
    trace_id: Annotated[str, typer.Argument(help="a stored trace", metavar="TRACE")],
) -> None:
    """Write the cassette.jsonl of a stored trace: its tool calls, as they were answered."""

    async def load_trace() -> Trace | None:
        db = ClickHouse(common())
        try:
            return (await spans.traces(db, [trace_id])).get(trace_id)
        finally:
            await db.close()

    trace = output.run(load_trace())
    if trace is None:
        raise UserError(f"trace {trace_id} is not stored: `outerloop send` it, or look with `outerloop sql`")
    sys.stdout.write(recording(trace).to_jsonl())


async def _measure(asked: Judge, labelled: dict[str, bool]) -> Agreement:
    # Not at the top: the SDK takes long to load, which every other command would wait for.
    from outerloop.trial.judge import agreement, client_of  # noqa: PLC0415

    common()
    settings = load(ModelSettings)
    db = ClickHouse(settings)
    try:
        found = await spans.traces(db, list(labelled))
    finally:
        await db.close()
    if lost := sorted(labelled.keys() - found.keys()):
        raise UserError(f"trace {lost[0]} is not stored (nor are {len(lost) - 1} others): label what is")
    key = settings.anthropic_api_key
    async with client_of(settings.anthropic_base_url, key.get_secret_value() if key else "") as client:
        return await agreement(asked, [(found[each], holds) for each, holds in labelled.items()], client)


def _labels(text: str, where: str) -> dict[str, bool]:
    labelled: dict[str, bool] = {}
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        try:
            said = json.loads(line)
            trace_id, holds = said["trace_id"], said["holds"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{where}:{number}: a label is {{"trace_id": …, "holds": true or false}}'
            ) from error
        if not isinstance(holds, bool):
            raise UserError(f"{where}:{number}: holds must be true or false")
        labelled[str(trace_id)] = holds
    return labelled


async def _accepted(agent: str) -> list[Eval]:
    db = ClickHouse(common())
    try:
        return [record.eval for record in await store.of_agent(db, agent, State.ACCEPTED)]
    finally:
        await db.close()


def _in_folder(folder: Path) -> list[Eval]:
    return [Eval.from_yaml(text_of(path), str(path)) for path in sorted(folder.rglob("eval.yaml"))]


def _indented(document: Judge | Agreement) -> str:
    return "".join(f"  {line}\n" for line in as_yaml(document).splitlines())
