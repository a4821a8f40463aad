"""Keeping: traces that are older than the settings say are deleted, once a day, by one replica."""

import asyncio
import logging
from datetime import UTC, datetime

from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.topics import OTLP_SPANS
from outerloop.store import retention

log = logging.getLogger(__name__)

_DAY_SECONDS = 24 * 3600.0
_AGAIN_SECONDS = 60.0


class Keeping:
    """Deletes what has been kept for long enough."""

    def __init__(self, settings: IngestSettings, bus: Bus, db: ClickHouse) -> None:
        self._days = settings.days_by_agent()
        self._otherwise = settings.retention_days
        self._bus = bus
        self._db = db

    async def keep(self) -> None:
        """Look once a day for as long as the service lives; a minute later where it could not be done."""
        while self._otherwise or any(self._days.values()):
            wait = _AGAIN_SECONDS
            if self._bus.holds(OTLP_SPANS, "retention"):
                try:
                    gone = await retention.expire(self._db, self._days, self._otherwise, datetime.now(UTC))
                except OutageError as outage:
                    log.warning("retention waits: %s", outage)
                else:
                    wait = _DAY_SECONDS
                    log.info("%d traces have been kept for long enough and are deleted", gone)
            await asyncio.sleep(wait)
        await asyncio.Event().wait()  # all is kept
