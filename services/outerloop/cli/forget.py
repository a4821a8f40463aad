"""`outerloop forget`: what production said of one session or one user is deleted."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.cli.publish import person
from outerloop.cli.verdicts import say
from outerloop.contracts.v1.eval_pb2 import REVIEW_RETIRE
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError, UserError
from outerloop.store import evals, forgetting
from outerloop.store.evals import State
from outerloop.store.forgetting import Found

WAIT_SECONDS = 60.0  # for draft to take note of a retirement
_REASON = "what it was drafted from had to be forgotten"


@dataclass
class _Done:
    rows: dict[str, int] = field(default_factory=dict[str, int])
    commits: list[str] = field(default_factory=list[str])


def forget(
    *,
    session: Annotated[str, typer.Option("--session", help="a conversation's id (SessionId)")] = "",
    user: Annotated[
        str, typer.Option("--user", help=f"a user's id, as in {' or '.join(forgetting.USER_KEYS)}")
    ] = "",
    agent: Annotated[str, typer.Option("--agent", help="only traces of this agent")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="do it; without this, only say what would go")] = False,
    by: Annotated[str, typer.Option("--by", "--who", help="who orders it; default: the user name")] = "",
    as_json: AsJson = False,
) -> None:
    """Delete one person's traces, with what was made from them: verdicts, labels, evals, attempts, trials.

    Accepted evals that quote them are retired, so their cassettes leave the suite. What still holds copies is
    said: Kafka until its retention, and the history of the suite branch. Nothing is deleted without --yes.
    """
    if bool(session) == bool(user):
        raise UserError("say whom to forget: either --session ID or --user ID")
    found, done = output.run(_forget(session, user, agent, person(by), yes=yes))
    left = _left(found)
    if as_json:
        quoting = [{"eval": r.eval_id, "state": r.state.value, "title": r.title} for r in found.evals]
        counts = {"traces": len(found.traces), "evals": quoting, "deleted": done.rows}
        output.emit({"done": yes, **counts, "tombstones": done.commits, "left": left})
        return
    whom = f"session {session}" if session else f"user {user}"
    verb = "deleted" if yes else "would delete"
    output.say(f"{whom}: {verb} {len(found.traces)} traces and {len(found.evals)} evals that quote them")
    for record in found.evals:
        output.say(f"  eval {record.eval_id[:8]} ({record.state.value}): {record.title}")
    for sentence in left if yes else ["nothing was changed: say --yes to delete"]:
        output.say(sentence)


async def _forget(session: str, user: str, agent: str, who: str, *, yes: bool) -> tuple[Found, _Done]:
    db, done = ClickHouse(common()), _Done()
    try:
        found = await forgetting.find(db, agent=agent, session=session, user=user)
        if yes:
            with output.console().status("retiring evals, deleting rows"):
                done.commits = await _retire(db, found, who)
                done.rows = await forgetting.forget(db, found)
    finally:
        await db.close()
    return found, done


async def _retire(db: ClickHouse, found: Found, who: str) -> list[str]:
    """Retire what binds, and wait until the loop knows: nothing may bind that has no text any more."""
    binding = [record for record in found.evals if record.state is State.ACCEPTED]
    commits = [(await say(record, REVIEW_RETIRE, who=who, reason=_REASON)).commit for record in binding]
    deadline = time.monotonic() + WAIT_SECONDS
    for record in binding:
        while (now := await evals.get(db, record.eval_id)) and now.state is not State.RETIRED:
            if time.monotonic() > deadline:
                raise OutageError(
                    f"eval {record.eval_id[:8]} is not retired after {WAIT_SECONDS:g} s, and nothing was"
                    " deleted: is draft running? Then say this again"
                )
            await asyncio.sleep(0.2)
    return commits


def _left(found: Found) -> list[str]:
    """What still holds copies, in sentences."""
    left = []
    if found.traces:
        left = [
            "Kafka holds the records as they came until the retention of otlp_spans and otlp_logs has passed",
            "backups of ClickHouse hold the rows until they are replaced",
        ]
    if any(record.state in {State.ACCEPTED, State.RETIRED} for record in found.evals):
        left.append(
            "the history of the branch outerloop/suite still holds the cassettes: if you must, purge the"
            " evals' directories with git filter-repo; `outerloop verify` will then name what is missing"
        )
    return left
