"""Reopening: a closed eval becomes work for the loop again, once for each cause."""

from collections.abc import Sequence
from datetime import UTC

from outerloop.contracts.v1.release_pb2 import EvalReopened
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.store import releases
from outerloop.store.releases import Reopening


async def reopen(
    bus: Bus, db: ClickHouse, message: EvalReopened, because: Sequence[object], *, anew: bool = False
) -> None:
    """Store and publish a reopening. The same `because` again is the same one, with its first time.

    An eval that is open already is left, or its attempts would be counted anew; `anew`: but not this time.
    """
    at = message.reopened_at.ToDatetime(UTC)
    cause = stable_id("reopened", message.eval_id, *because)
    known = (await still_open(db, message.agent)).get(message.eval_id)
    if known and known.cause != cause and not anew:
        return
    row = Reopening(
        cause=cause,
        agent=message.agent,
        eval_id=message.eval_id,
        mode_id=message.mode_id,
        commit=message.commit,
        reason=message.reason,
        passed=message.passed,
        trials=message.trials,
        at=at.replace(microsecond=at.microsecond // 1000 * 1000),  # as it is stored
    )
    # The row first: who takes the event looks for it. A crash between the two repeats both, as they were.
    stored = await releases.reopen(db, row)
    again = EvalReopened()
    again.CopyFrom(message)
    again.reopened_at.FromDatetime(stored.at)
    await bus.publish(again, because=(cause,))


async def still_open(db: ClickHouse, agent: str) -> dict[str, Reopening]:
    """The evals of an agent that were reopened, and for which nothing has shipped since."""
    closed = {release.eval_id: release.at for release in await releases.shipped(db, agent)}
    reopened = await releases.reopened(db, agent)
    return {
        eval_id: reopening
        for eval_id, reopening in reopened.items()
        if eval_id not in closed or closed[eval_id] < reopening.at
    }
