"""What a person says of an eval, from accept to retire: checked, then sent."""

import tempfile
from datetime import datetime
from pathlib import Path

from outerloop.cli.came import Sent, overtaken
from outerloop.cli.config import common
from outerloop.cli.publish import now, publish
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_EDIT,
    REVIEW_MUTE,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
    REVIEW_RETIRE,
    EvalReviewed,
    Review,
)
from outerloop.contracts.v1.label_pb2 import QUALITY_GOOD, TraceLabelled
from outerloop.contracts.v1.mode_pb2 import RULING_MUTE, ModeRuled
from outerloop.draft.edit import edited
from outerloop.draft.settings import DraftSettings
from outerloop.gate.people.retire import retire
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.settings import load
from outerloop.store import evals
from outerloop.store.evals import EvalRecord, State

DONE: dict[Review, str] = {
    REVIEW_ACCEPT: "accepted",
    REVIEW_EDIT: "edited",
    REVIEW_REJECT: "rejected",
    REVIEW_NOT_A_FAILURE: "not a failure",
    REVIEW_MUTE: "muted",
    REVIEW_RETIRE: "retired",
}


def check(record: EvalRecord, verdict: Review, reason: str) -> None:
    """Whether this can be said of the eval.

    Raises:
        UserError: saying why not, and what can be.
    """
    name = f"eval {record.eval_id[:8]}"
    if verdict == REVIEW_RETIRE:
        if record.state is not State.ACCEPTED:
            raise UserError(f"{name} is {record.state.value}: only an accepted eval can be retired")
    elif record.state is State.ACCEPTED:
        raise UserError(
            f"{name} was accepted by {record.reviewer}: it binds for good, until a person retires it"
            " (`outerloop evals retire`)"
        )
    elif record.state is State.RETIRED:
        raise UserError(f"{name} was retired by {record.reviewer}: {record.reason}")
    elif record.state is State.PROVING:
        raise UserError(f"{name} is being run on the release branch: wait until it is drafted")
    elif record.state in {State.REJECTED, State.SET_ASIDE} and verdict != REVIEW_ACCEPT:
        raise UserError(f"{name} was {record.state.value} before: {record.reason}")
    elif verdict in {REVIEW_NOT_A_FAILURE, REVIEW_MUTE} and record.mode_id == record.eval_id:
        raise UserError(f"{name} was imported, and is of no failure: reject it (`outerloop evals reject`)")
    if verdict != REVIEW_ACCEPT and not reason.strip():
        raise UserError("the reason is empty: say why, for those who come after")


async def say(record: EvalRecord, verdict: Review, *, who: str, reason: str, eval_yaml: str = "") -> Sent:
    """Send the verdict, with a commit to the agent's repository where it is retired.

    Raises:
        UserError: as `check`; when somebody has judged it since it was read; when what was edited is no
            eval; when the repository is not as it must be.
        OutageError: when Kafka, ClickHouse or the repository is away.
    """
    check(record, verdict, reason)
    await _check_current(record)
    at = now()
    message = EvalReviewed(
        eval_id=record.eval_id,
        agent=record.agent,
        review=verdict,
        reviewer=who,
        reason=reason,
        content_sha256=record.content_sha256,
        eval_yaml=eval_yaml,
    )
    message.reviewed_at.FromDatetime(at)
    commit = ""
    if verdict == REVIEW_EDIT:
        await _check_edit(record, message)
    elif verdict == REVIEW_RETIRE:
        # The commit first: an eval that is said to be retired and is asked for all the same would be a lie.
        commit = await _bury(record, who, reason, at)
    await publish(message, (record.eval_id, record.content_sha256, who, verdict, at.isoformat()))
    if verdict == REVIEW_NOT_A_FAILURE:
        await _label(record, who, reason, at)
    elif verdict == REVIEW_MUTE:
        await _mute(record, who, reason, at)
    return Sent(record, verdict, who, reason, at, commit)


async def _check_current(record: EvalRecord) -> None:
    db = ClickHouse(common())
    try:
        current = await evals.get(db, record.eval_id)
    finally:
        await db.close()
    if current is not None and (why := overtaken(record, current)):
        raise UserError(why)


async def _check_edit(record: EvalRecord, message: EvalReviewed) -> None:
    settings = load(DraftSettings)
    db = ClickHouse(settings)
    try:
        await edited(db, record, message, settings)
    finally:
        await db.close()


async def _bury(record: EvalRecord, who: str, reason: str, at: datetime) -> str:
    repositories = common().repositories()
    if record.agent not in repositories:
        raise UserError(
            f"OUTERLOOP_AGENTS names no repository of {record.agent}: add {record.agent}=URL[#BRANCH]"
        )
    url, _ = repositories[record.agent]
    with tempfile.TemporaryDirectory(prefix="outerloop-retire-") as cache:
        repository = await Repository.open(url, Path(cache) / "mirror")
        return await retire(repository, record.eval_id, by=who, reason=reason, when=at) or ""


async def _label(record: EvalRecord, who: str, reason: str, at: datetime) -> None:
    """What the eval was drafted from is no failure: triage keeps it as a label."""
    for trace_id in dict.fromkeys(record.eval.provenance.source_traces):
        label = TraceLabelled(
            trace_id=trace_id, agent=record.agent, quality=QUALITY_GOOD, why=reason, labelled_by=who
        )
        label.labelled_at.FromDatetime(at)
        await publish(label, (trace_id, who, "good", at.isoformat()))


async def _mute(record: EvalRecord, who: str, reason: str, at: datetime) -> None:
    ruling = ModeRuled(
        ruling_id=stable_id("ruling", record.mode_id, RULING_MUTE, who, at.isoformat()),
        agent=record.agent,
        mode_id=record.mode_id,
        ruling=RULING_MUTE,
        why=reason,
        ruled_by=who,
    )
    ruling.ruled_at.FromDatetime(at)
    await publish(ruling, (ruling.ruling_id,))
