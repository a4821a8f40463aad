"""Settling: traces that are complete are handed to triage, each state of a trace once.

What came while this process runs is tracked; what another one left behind, or there was no room to track, is
looked for in ClickHouse: at the start, and then now and again by one replica, a few minutes at a time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.ingest.core.quiet import Patience, Tracker
from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.topics import OTLP_SPANS
from outerloop.store import settlements

log = logging.getLogger(__name__)

T = TypeVar("T")

TICK_SECONDS = 0.5
LOOK_SECONDS = 300.0
_AGAIN_SECONDS = 5.0
_STEP = timedelta(minutes=10)
_ROWS = 10_000_000  # that ClickHouse groups at once
_AT_A_TIME = 1000
_MOST = 50_000  # of one look
# For clocks that differ, and for what is stored while one looks.
_LATEST = timedelta(days=1)


class Settling:
    """Announces what is complete."""

    def __init__(self, bus: Bus, db: ClickHouse, tracker: Tracker, patience: Patience) -> None:
        self._bus = bus
        self._db = db
        self._tracker = tracker
        # Of what is older nobody tracks anything any more.
        self._tracked = timedelta(seconds=2 * max(patience.rooted, patience.rootless))

    async def settle(self) -> None:
        """Announce complete traces for as long as the service lives."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            metrics.TRACKED.set(len(self._tracker))
            due = self._tracker.due(time.monotonic())
            for start in range(0, len(due), _AT_A_TIME):
                part = due[start : start + _AT_A_TIME]
                try:
                    await self._announce(part)
                except OutageError as outage:
                    log.warning("%d traces wait to be settled: %s", len(part), outage)
                    for trace_id in part:
                        self._tracker.seen(trace_id, rooted=True, now=time.monotonic())

    async def look_back(self) -> None:
        """Find what was left behind: all of it at the start, later what was within the last looks."""
        now = datetime.now(UTC)
        for trace_id, rooted in (await self._unsettled(now - self._tracked, now + _LATEST)).items():
            self._tracker.seen(trace_id, rooted=rooted, now=time.monotonic())
        depth = timedelta(days=settlements.LOOK_BACK_DAYS)
        while True:
            await self._sweep(datetime.now(UTC) - self._tracked, depth)
            await asyncio.sleep(LOOK_SECONDS)
            while not self._bus.holds(OTLP_SPANS, "left behind"):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(LOOK_SECONDS)
            depth = 3 * timedelta(seconds=LOOK_SECONDS) + self._tracked

    async def _sweep(self, end: datetime, depth: timedelta) -> None:
        found = 0
        for begin, until in await self._windows(end - depth, end):
            while True:
                left = list(await self._unsettled(begin, until))
                parts = (left[start : start + _AT_A_TIME] for start in range(0, len(left), _AT_A_TIME))
                settled = sum([await self._patiently(partial(self._announce, part)) for part in parts])
                found += settled
                if len(left) < _MOST or not settled:  # results of traces that never came stay as they are
                    break
        if found:
            log.info("%d traces were stored and not settled", found)

    async def _windows(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Times that hold what can be looked through at once, the latest first: there most is left behind."""
        found: list[tuple[datetime, datetime]] = []
        room = 0
        for at, rows in await self._patiently(lambda: settlements.busy(self._db, begin, end, _STEP)):
            first, last = max(at, begin), min(at + _STEP, end)
            if found and rows <= room:
                last = found.pop()[1]
            else:
                room = _ROWS
            found.append((first, last))
            room -= rows
        return found

    async def _unsettled(self, begin: datetime, end: datetime) -> dict[str, bool]:
        return await self._patiently(lambda: settlements.unsettled(self._db, begin, end, _MOST))

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await work()
            except OutageError as outage:
                log.warning("what was left behind is settled later: %s", outage)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _announce(self, trace_ids: list[str]) -> int:
        complete = await settlements.summaries(self._db, trace_ids)
        # Where a trace's records come to several replicas, each of them sees it become quiet.
        before = await settlements.known(self._db, complete)
        new = [each for each in complete if (each.trace_id, each.revision) not in before]
        # At once: one after the other, Kafka's answers would allow some hundred a second.
        await asyncio.gather(
            *(self._bus.publish(_settled(each), because=(each.trace_id, each.revision)) for each in new)
        )
        await settlements.insert(self._db, complete)
        return len(complete)


def _settled(summary: settlements.Summary) -> TraceSettled:
    message = TraceSettled(
        trace_id=summary.trace_id,
        agent=summary.agent,
        agent_version=summary.agent_version,
        spans=summary.spans,
        revision=summary.revision,
    )
    message.started_at.FromDatetime(summary.started_at)
    return message
