"""Settling: traces that are complete are handed to triage, each state of a trace once."""

import asyncio
import logging
import time

from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.ingest.core.quiet import Tracker
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.store import settlements

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
_AT_A_TIME = 1000


class Settling:
    """Announces what the tracker says is complete."""

    def __init__(self, bus: Bus, db: ClickHouse, tracker: Tracker) -> None:
        self._bus = bus
        self._db = db
        self._tracker = tracker

    async def settle(self) -> None:
        """Announce complete traces for as long as the service lives, starting with those left behind."""
        await self._recover()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            due = self._tracker.due(time.monotonic())
            for start in range(0, len(due), _AT_A_TIME):
                await self._announce(due[start : start + _AT_A_TIME])

    async def _announce(self, trace_ids: list[str]) -> None:
        try:
            complete = await settlements.summaries(self._db, trace_ids)
            for summary in complete:
                await self._bus.publish(_settled(summary), because=(summary.trace_id, summary.revision))
            await settlements.insert(self._db, complete)
        except OutageError as outage:
            log.warning("%d traces wait to be settled: %s", len(trace_ids), outage)
            for trace_id in trace_ids:
                self._tracker.seen(trace_id, rooted=True, now=time.monotonic())

    async def _recover(self) -> None:
        while True:
            try:
                left = await settlements.unsettled(self._db, settlements.LOOK_BACK_DAYS)
            except OutageError as outage:
                log.warning("%s", outage)
                await asyncio.sleep(TICK_SECONDS)
            else:
                break
        for trace_id, rooted in left.items():
            self._tracker.seen(trace_id, rooted=rooted, now=time.monotonic())
        if left:
            log.info("%d traces were stored and not settled", len(left))


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
