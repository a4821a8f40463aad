"""Telling what was found of a release: an event, a row, a count for alerts, and an eval that is reopened.

The event comes first and the row last: a crash between the two tells the same again, under the same ids.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from outerloop.contracts.v1.release_pb2 import (
    FINDING_CONFIRMED_CLOSED,
    FINDING_REGRESSED,
    FINDING_ROLLED_BACK,
    EvalReopened,
    Finding,
    ReleaseWatched,
)
from outerloop.gate.core.watch import Counts, Worse
from outerloop.gate.production.reopening import reopen
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import modes, releases
from outerloop.store.releases import FindingRecord, Release, Shipped

log = logging.getLogger(__name__)

Found = dict[Finding, FindingRecord]


async def findings(db: ClickHouse, agent: str) -> Mapping[str, Found]:
    """What has been told of an agent's releases, by decision."""
    return {
        decision: {_finding(name): record for name, record in of_it.items()}
        for decision, of_it in (await releases.findings(db, agent)).items()
    }


class Teller:
    """Tells findings."""

    def __init__(self, bus: Bus, db: ClickHouse) -> None:
        self._bus = bus
        self._db = db
        for name in Finding.keys():  # noqa: SIM118 - an enum of protobuf's, no dict
            # A counter that appears with its first count has never risen, to who watches it rise.
            metrics.RELEASES.labels(name.removeprefix("FINDING_").lower())

    async def tell(
        self,
        release: Shipped,
        finding: Finding,
        *,
        subject: str,
        reason: str,
        counts: Counts,
        commit: str = "",
        closed: bool = False,
    ) -> FindingRecord:
        """Publish a finding and what follows from it, then store it.

        `commit` is that of a rollback. `closed`: another release closes the eval, so it is not work again.
        """
        name = Finding.Name(finding).removeprefix("FINDING_").lower()
        record = FindingRecord(
            decision_id=release.decision_id,
            agent=release.agent,
            mode_id=release.mode_id,
            eval_id=release.eval_id,
            shipped_commit=release.commit,
            finding=name,
            subject=subject,
            reason=reason,
            traces=counts.traces,
            failures=counts.failures,
            rollback_commit=commit,
            found_at=datetime.now(UTC),
        )
        level = logging.INFO if finding == FINDING_CONFIRMED_CLOSED else logging.ERROR
        log.log(level, "release %s of %s: %s: %s", release.commit[:12], release.agent, name, reason)
        await self._bus.publish(_watched(record, finding), because=(release.decision_id, name))
        if finding in {FINDING_REGRESSED, FINDING_ROLLED_BACK} and not closed:
            undone = finding == FINDING_ROLLED_BACK
            why = "it shipped and was undone" if undone else "it shipped, and fails again"
            because = (release.decision_id, name)
            await reopen(self._bus, self._db, _reopened(record, why), because, anew=undone)
        await releases.insert_finding(self._db, record)
        metrics.RELEASES.labels(name).inc()
        return record


def _finding(name: str) -> Finding:
    return cast(Finding, Finding.Value(f"FINDING_{name.upper()}"))  # an int, and typed as one


def of_mode(release: Release, finding: Finding, counts: Counts) -> str:
    """What is proven of the mode that a release closed, in a sentence."""
    traces, failures = release.before[release.mode_id]
    side = "below" if finding == FINDING_CONFIRMED_CLOSED else "above"
    now = f"{counts.failures} of {counts.traces} traces since"
    return f"{now}, {failures} of {traces} before the release; {side} {release.bar:.2%} is proven"


async def of_worse(db: ClickHouse, worse: Worse) -> str:
    """What is proven of a measure that became worse, in a sentence."""
    measure = worse.measure
    mode = await modes.get(db, measure.name)
    name = f'"{mode.title}"' if mode else measure.name
    was = f"{measure.before.failures} of {measure.before.traces} traces before the release"
    now = f"{measure.since.failures} of {measure.since.traces} since"
    return f"{name} became worse: {was}, {now}; above {worse.bar:.1%} is proven"


def _watched(record: FindingRecord, finding: Finding) -> ReleaseWatched:
    message = ReleaseWatched(
        decision_id=record.decision_id,
        agent=record.agent,
        mode_id=record.mode_id,
        eval_id=record.eval_id,
        shipped_commit=record.shipped_commit,
        finding=finding,
        subject=record.subject,
        reason=record.reason,
        traces=record.traces,
        failures=record.failures,
        rollback_commit=record.rollback_commit,
    )
    message.found_at.FromDatetime(record.found_at)
    return message


def _reopened(record: FindingRecord, why: str) -> EvalReopened:
    message = EvalReopened(
        eval_id=record.eval_id,
        agent=record.agent,
        mode_id=record.mode_id,
        commit=record.rollback_commit or record.shipped_commit,
        reason=f"{why}: {record.reason}",
        passed=record.traces - record.failures,
        trials=record.traces,
    )
    message.reopened_at.FromDatetime(record.found_at)
    return message
