"""`outerloop evals run|diff`: an eval at commits of one's own repository, in the sandbox; decides nothing."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.cases import find
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.cli.texts import text_of
from outerloop.evals.model import Cassette, Eval
from outerloop.evals.suite import RECORD, Entry
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import ModelSettings, load
from outerloop.store import heldout

if TYPE_CHECKING:
    from outerloop.gate.people.tryout import Tried
    from outerloop.trial.run import Trial

Which = Annotated[
    str, typer.Argument(help="a folder with eval.yaml, or (the beginning of) an id", metavar="EVAL")
]
Repo = Annotated[Path, typer.Option("--agent", help="the agent's repository", file_okay=False)]
Trials = Annotated[int, typer.Option(min=1, max=1000, help="how many trials, of each commit")]


def run(
    eval_: Which,
    *,
    commit: Annotated[str, typer.Option(help="a branch or commit of the repository")] = "HEAD",
    agent: Repo = Path(),
    trials: Trials = 5,
    as_json: AsJson = False,
) -> None:
    """Run an eval at a commit, so often, and say how it did and how true the recording was to it."""
    tried = output.run(_tried(agent.absolute(), eval_, (commit,), trials))[0]
    if as_json:
        output.emit(_row(tried))
        return
    output.write(
        f"{tried.passed} of {tried.trials} trials of {tried.eval_id} pass at {tried.commit[:12]};"
        f" {tried.calls - tried.diverged} of {tried.calls} tool calls were in the recording"
        f" (fidelity {tried.fidelity:.0%})"
    )
    for reason, times in tried.reasons.items():
        output.write(f"{times} of {tried.trials}: {reason}")


def diff(
    eval_: Which,
    other: Annotated[str, typer.Argument(help="another eval, to compare with", metavar="OTHER")] = "",
    *,
    from_: Annotated[str, typer.Option("--from", help="a commit")] = "HEAD~1",
    to: Annotated[str, typer.Option(help="another commit")] = "HEAD",
    agent: Repo = Path(),
    trials: Trials = 5,
    as_json: AsJson = False,
) -> None:
    """What differs between two evals; or, with one, between its results at two commits."""
    if other:
        said = output.run(_compared(agent.absolute(), eval_, other))
    else:
        before, after = output.run(_tried(agent.absolute(), eval_, (from_, to), trials))
        said = {
            "from": _row(before),
            "to": _row(after),
            "no_more": [reason for reason in before.reasons if reason not in after.reasons],
            "new": [reason for reason in after.reasons if reason not in before.reasons],
        }
    if as_json:
        output.emit(said)
        return
    for name, value in said.items():
        for line in value if isinstance(value, list) else [value]:
            output.write(f"{name.replace('_', ' ')}: {_told(line)}")


def _told(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['commit'][:12]}: {value['passed']} of {value['trials']} pass"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


async def _tried(clone: Path, which: str, commits: tuple[str, ...], trials: int) -> "list[Tried]":
    # Not at the top: what runs trials takes long to load, which every other command would wait for.
    from outerloop.gate.people.tryout import tryout  # noqa: PLC0415

    common()
    settings = load(ModelSettings)
    entry = await _entry(clone, which)
    return [
        await tryout(clone, commit, entry, settings, trials=trials, tell=_tell(commit)) for commit in commits
    ]


def _tell(commit: str) -> "Any":
    def tell(number: int, trial: "Trial") -> None:
        why = " ".join("; ".join(trial.reasons).split())[:200]
        output.say(f"{commit}, trial {number}: {'passed' if trial.passed else f'failed: {why}'}")

    return tell


async def _compared(clone: Path, which: str, other: str) -> dict[str, Any]:
    one, two = await _entry(clone, which), await _entry(clone, other)
    expects = [[check.words for check in entry.eval.expect] for entry in (one, two)]
    documents = [entry.eval.model_dump(mode="json") for entry in (one, two)]
    differing = [
        name
        for name in documents[0]
        if name not in {"id", "expect", "provenance"} and documents[0][name] != documents[1][name]
    ]
    if one.cassette != two.cassette:
        differing.append("cassette")
    return {
        "same": one.content_sha256 == two.content_sha256,
        "only_first": [words for words in expects[0] if words not in expects[1]],
        "only_second": [words for words in expects[1] if words not in expects[0]],
        "differing": differing,
    }


async def _entry(clone: Path, which: str) -> Entry:
    """The eval of a folder; else of the clone's suite; else of ClickHouse, where drafts are too."""
    from outerloop.gate.people.tryout import in_suite  # noqa: PLC0415 - as above

    if (here := await asyncio.to_thread(_in_folder, Path(which))) is not None:
        return here
    if (found := await in_suite(clone, which)) is not None:
        return found
    record = await find(which)
    db = ClickHouse(common())
    try:
        return await heldout.entry_of(db, record)
    finally:
        await db.close()


def _in_folder(folder: Path) -> Entry | None:
    if not folder.is_dir():
        return None
    where, tape = folder / "eval.yaml", folder / "cassette.jsonl"
    if not where.is_file():
        raise UserError(f"there is no {where}: see `outerloop evals schema`")
    if not tape.is_file():
        raise UserError(f"there is no {tape}: {RECORD}")
    texts = [text_of(path) for path in (where, tape)]
    return Entry(Eval.from_yaml(texts[0], str(where)), Cassette.from_jsonl(texts[1], str(tape)))


def _row(tried: "Tried") -> dict[str, Any]:
    return asdict(tried) | {"fidelity": round(tried.fidelity, 4)}
