"""`outerloop evals`: what a person says of a draft."""

import getpass
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.kafka import connected, producer
from outerloop.cli.output import AsJson
from outerloop.contracts.v1.eval_pb2 import REVIEW_ACCEPT, REVIEW_REJECT, EvalReviewed, Review
from outerloop.evals.grade import describe
from outerloop.evals.schema import schema_text
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import headers_for, key_of, stable_id
from outerloop.runtime.errors import UserError
from outerloop.runtime.topics import topic_of
from outerloop.store import evals as store
from outerloop.store.evals import EvalRecord, State

app = typer.Typer(help="Look at drafted evals, accept or reject them.", no_args_is_help=True)
EvalId = Annotated[str, typer.Argument(help="the eval's id, or enough of its beginning", metavar="EVAL")]
Who = Annotated[str, typer.Option("--who", help="who decides; default: the user name")]


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
            "reviewer": r.reviewer,
            "title": r.title,
        }
        for r in output.run(_load(agent, state))
    ]
    output.report(
        rows, as_json=as_json, empty="no evals yet: a failure mode must open first (`outerloop modes`)"
    )


@app.command()
def show(eval_id: EvalId, *, as_json: AsJson = False) -> None:
    """One eval: in plain words, then as it will stand in the suite."""
    record = output.run(_find(eval_id))
    words = [describe(e) for e in record.eval.expect]
    if as_json:
        output.emit(
            {"eval": record.eval.model_dump(mode="json"), "words": words, "state": record.state.value}
        )
        return
    output.write(f"{record.title}\n\nA good run " + "; ".join(words) + ".")
    output.write(
        f"\nIt fails on {record.failing_caught} of {record.failing} recorded failures and passes on"
        f" {record.healthy_passed} of {record.healthy} healthy runs. State: {record.state.value}."
    )
    output.write(f"\n{record.eval_yaml}\n{len(record.cassette.calls)} recorded tool calls")


@app.command()
def schema() -> None:
    """The JSON Schema of eval.yaml, for editors and other programs."""
    sys.stdout.write(schema_text())


@app.command()
def accept(eval_id: EvalId, *, who: Who = "", as_json: AsJson = False) -> None:
    """Make an eval binding: from now on no change ships that does not pass it."""
    _decide(eval_id, REVIEW_ACCEPT, who, "", as_json=as_json)


@app.command()
def reject(
    eval_id: EvalId,
    *,
    reason: Annotated[str, typer.Option("--reason", help="why, for those who come after")],
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Refuse a draft."""
    _decide(eval_id, REVIEW_REJECT, who, reason, as_json=as_json)


def _decide(eval_id: str, verdict: Review, who: str, reason: str, *, as_json: bool) -> None:
    record = output.run(_find(eval_id))
    if record.state is State.ACCEPTED:
        raise UserError(f"eval {record.eval_id} was accepted by {record.reviewer}: it binds for good")
    reviewer = who or getpass.getuser()
    output.run(_publish(record, verdict, reviewer, reason))
    decided = "accepted" if verdict == REVIEW_ACCEPT else "rejected"
    if as_json:
        output.emit({"eval": record.eval_id, "review": decided, "reviewer": reviewer})
    else:
        output.say(f"{decided} eval {record.eval_id[:8]}: {record.title}")


async def _publish(record: EvalRecord, verdict: Review, reviewer: str, reason: str) -> None:
    settings = common()
    now = datetime.now(UTC)
    message = EvalReviewed(
        eval_id=record.eval_id,
        agent=record.agent,
        review=verdict,
        reviewer=reviewer,
        reason=reason,
        content_sha256=record.content_sha256,
    )
    message.reviewed_at.FromDatetime(now)
    event_id = stable_id("review", record.eval_id, record.content_sha256, reviewer, verdict, now.isoformat())
    headers = headers_for(message, event_id=event_id, source="cli", cause=None)
    async with connected(settings, producer(settings)) as kafka:
        await kafka.send_and_wait(
            topic_of(message).name,
            message.SerializeToString(),
            key=key_of(message),
            headers=[(k, v.encode()) for k, v in headers.items()],
        )


async def _load(agent: str, state: State | None) -> list[EvalRecord]:
    db = ClickHouse(common())
    try:
        return await store.of_agent(db, agent, state)
    finally:
        await db.close()


async def _find(eval_id: str) -> EvalRecord:
    found = [r for r in await _load("", None) if r.eval_id.startswith(eval_id)]
    if not found:
        raise UserError(f"there is no eval {eval_id}; `outerloop evals list` shows them")
    if len(found) > 1:
        raise UserError(f"{eval_id} is the beginning of {len(found)} evals: give more of the id")
    return found[0]
