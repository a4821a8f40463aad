"""What came of a verdict on an eval: draft takes them in their order, and another person's may be first."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.contracts.v1.eval_pb2 import REVIEW_ACCEPT, REVIEW_EDIT, Review
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import evals
from outerloop.store.evals import EvalRecord, State

# Draft takes a verdict up within a second, unless it is drafting or away.
SECONDS = 10.0
_QUIET = 2.0
_AGAIN = 0.2
_STORED = timedelta(milliseconds=1)  # how exactly a time is stored
_LATER = "it is sent, and draft has not taken it up yet: `outerloop evals show {eval}` tells what comes of it"


@dataclass(frozen=True, slots=True)
class Sent:
    """A verdict that is on its way, on the eval as the person saw it. `commit` is what it made in git."""

    record: EvalRecord
    verdict: Review
    who: str
    reason: str
    at: datetime
    commit: str = ""


def overtaken(seen: EvalRecord, now: EvalRecord) -> str:
    """Why a verdict on the eval as it was seen does not count any more; "" if it does."""
    name = f"eval {seen.eval_id[:8]}"
    if now.content_sha256 != seen.content_sha256:
        editor = now.eval.provenance.drafted_by.partition("; edited by ")[2]
        return (
            f"{editor or 'somebody'} edited {name} meanwhile, and what you said is of another version:"
            f" look at it again (`outerloop evals show {seen.eval_id[:8]}`)"
        )
    if now.state is seen.state:
        return ""
    why = f" ({now.reason})" if now.reason else ""
    return f"{now.reviewer or 'draft'} had {name} {now.state.value} before{why}: what you said does not count"


def effect(sent: Sent, now: EvalRecord) -> str | None:
    """What came of a verdict, by the eval as it is now: "", or why it does not count; None: nothing yet."""
    says = now.eval.provenance
    if sent.verdict == REVIEW_EDIT:  # whatever is said of it since
        signed = says.drafted_by.endswith(f"; edited by {sent.who}")
        own = signed and now.content_sha256 != sent.record.content_sha256
    elif sent.verdict == REVIEW_ACCEPT and says.accepted_at is not None:  # it may be retired since
        own = says.accepted_by == sent.who and abs(says.accepted_at - sent.at) < _STORED
    else:
        own = now.reviewer == sent.who and abs(now.at - sent.at) < _STORED
    same = sent.verdict == REVIEW_ACCEPT and now.state is State.ACCEPTED
    if own or (same and now.content_sha256 == sent.record.content_sha256):
        return ""
    return overtaken(sent.record, now) or None


async def came_of(sent: Sequence[Sent]) -> list[str | None]:
    """What came of each verdict, as `effect` says it."""
    db = ClickHouse(common())
    try:
        return await watched(db, sent, SECONDS)
    finally:
        await db.close()


async def watched(db: ClickHouse, sent: Sequence[Sent], seconds: float) -> list[str | None]:
    """What came of each verdict, waiting for it for so long."""
    began, told = time.monotonic(), False
    while True:
        found = [await _looked(db, each) for each in sent]
        waited = time.monotonic() - began
        if all(each is not None for each in found) or waited >= seconds:
            return found
        if waited >= _QUIET and not told:
            told = True
            output.say("waiting for draft to take it up …")
        await asyncio.sleep(_AGAIN)


async def _looked(db: ClickHouse, sent: Sent) -> str | None:
    now = await evals.get(db, sent.record.eval_id)
    return effect(sent, now) if now is not None else None


def later(sent: Sent) -> str:
    """What is said of a verdict of which nothing has come yet."""
    return _LATER.format(eval=sent.record.eval_id[:8])
