"""`outerloop sessions`: what the harness did, step by step."""

import json
from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.agents import report
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.propose.memory import standing
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import sessions as store
from outerloop.store.sessions import SessionRecord, StepRecord

app = typer.Typer(help="Sessions of the harness: list them, show one again.", no_args_is_help=True)
_SHOWN = 1_200


@app.command("list")
def list_(
    *,
    agent: Annotated[str, typer.Option(help="of one agent only")] = "",
    most: Annotated[int, typer.Option(min=1, help="the newest so many")] = 50,
    as_json: AsJson = False,
) -> None:
    """Sessions with their steps, cost, share of input read from the cache, and what they came to."""
    rows = [_row(row, short=not as_json) for row in output.run(_list(agent, most))]
    empty = "no session was begun: an eval must be accepted first"
    report(rows, agent, as_json=as_json, empty=empty)


@app.command()
def show(
    session: Annotated[str, typer.Argument(help="the session's id, or enough of its beginning")],
    *,
    task: Annotated[bool, typer.Option("--task", help="also the first message, whole")] = False,
    as_json: AsJson = False,
) -> None:
    """One session again: what the model said, what it called, what came back, its diffs and what it cost."""
    record, steps = output.run(_get(session))
    if as_json:
        output.emit(_plain(record, steps))
        return
    cost = sum(step.usd for step in steps)
    output.write(
        f"session {record.session_id}\n{record.agent}, eval {record.eval_id[:8]}, attempt {record.attempt},"
        f" {record.state.value}, model {record.model}, base {record.base_commit[:12]},"
        f" {len(steps)} steps, ${cost:.4f}"
    )
    if task:
        output.write(f"\n{record.told}")
    for step in steps:
        output.write(_shown(step))
    if record.outcome:
        said = json.loads(record.outcome)
        output.write(
            "\n" + "\n\n".join(str(said[k]) for k in ("diagnosis", "patch", "reason") if said.get(k))
        )


def _shown(step: StepRecord) -> str:
    hit = step.cache_read_tokens / step.input_tokens if step.input_tokens else 0.0
    tokens = f"{step.input_tokens} in ({hit:.0%} from the cache), {step.output_tokens} out"
    lines = [f"\n── step {step.step}  {step.seconds:.1f} s  ${step.usd:.4f}  {tokens}"]
    answers = json.loads(step.results)
    results = {b.get("tool_use_id"): b for b in answers}
    for block in json.loads(step.content):
        if block["type"] == "text":
            lines.append(block["text"])
        if block["type"] == "tool_use":
            lines.append(_call(block))
            result = results.get(block["id"])
            if result is not None:
                mark = "✗" if result.get("is_error") else "→"
                lines.append(f"  {mark} " + _indented(result["content"]))
    # What was said to a model that called nothing; and what a search or a screening has seen.
    lines += [f"  → {_indented(block['text'])}" for block in answers if block["type"] == "text"]
    return "\n".join(lines)


def _call(block: dict[str, Any]) -> str:
    given = dict(block["input"])
    if block["name"] == "edit_file":
        minus = "".join(f"\n  - {line}" for line in str(given.get("old", "")).splitlines())
        plus = "".join(f"\n  + {line}" for line in str(given.get("new", "")).splitlines())
        return f"edit_file {given.get('path', '')}{minus}{plus}"
    return f"{block['name']} {json.dumps(given, ensure_ascii=False)}"


def _indented(text: object) -> str:
    return _cut(str(text)).replace("\n", "\n    ")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… [{len(text) - _SHOWN} characters more; --json]"


def _row(row: dict[str, Any], *, short: bool) -> dict[str, Any]:
    said = json.loads(row.pop("outcome") or "{}")
    came = "a change" if said.get("patch") else said.get("reason", "")
    row |= {"usd": round(row["usd"], 4), "cache_hit_rate": round(row["cache_hit_rate"], 3), "came_to": came}
    if short:
        row |= {"session_id": row["session_id"][:8], "eval_id": row["eval_id"][:8]}
    return row


def _plain(record: SessionRecord, steps: list[StepRecord]) -> dict[str, Any]:
    return {
        "session": record.session_id,
        "agent": record.agent,
        "eval": record.eval_id,
        "attempt": record.attempt,
        "state": record.state.value,
        "base_commit": record.base_commit,
        "task": record.told,
        "outcome": json.loads(record.outcome or "null"),
        "steps": [
            {
                "step": s.step,
                "said": json.loads(s.content),
                "answered": json.loads(s.results),
                "usd": s.usd,
                "seconds": s.seconds,
                "input_tokens": s.input_tokens,
                "cache_read_tokens": s.cache_read_tokens,
                "output_tokens": s.output_tokens,
            }
            for s in steps
        ],
    }


async def _list(agent: str, most: int) -> list[dict[str, Any]]:
    db = ClickHouse(common())
    try:
        return await store.brief(db, agent, most)
    finally:
        await db.close()


async def _get(beginning: str) -> tuple[SessionRecord, list[StepRecord]]:
    db = ClickHouse(common())
    try:
        found = await store.get(db, beginning)
        if len(found) != 1:
            wrong = f"{len(found)} sessions have an id that begins with {beginning!r}"
            raise UserError(f"{wrong}: see `outerloop sessions list`")
        return found[0], standing(await store.steps(db, found[0]))
    finally:
        await db.close()
