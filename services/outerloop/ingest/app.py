"""Wiring of ingest: Kafka records in, rows out, settled traces announced."""

import asyncio
from collections.abc import Sequence

from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.core.quiet import Patience, Tracker
from outerloop.ingest.keeping import Keeping
from outerloop.ingest.receiver import receivers
from outerloop.ingest.settings import IngestSettings
from outerloop.ingest.settling import Settling
from outerloop.ingest.storing import Storing
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.service import Background
from outerloop.runtime.topics import OTLP_LOGS, OTLP_SPANS

SETTINGS = IngestSettings
CONSUMES = (OTLP_SPANS, OTLP_LOGS)


def wire(settings: IngestSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    cleaner = Cleaner(settings)
    patience = Patience(settings.settle_seconds, settings.settle_rootless_seconds)
    tracker = Tracker(patience)
    settling = Settling(bus, db, tracker, patience)
    bus.subscribe(CONSUMES, Storing(settings, bus, db, cleaner, tracker).store, at_most=settings.ingest_batch)

    async def receive() -> None:
        """Take OTLP over gRPC and HTTP for as long as the service lives."""
        async with receivers(bus, settings, cleaner):
            await asyncio.Event().wait()

    return (settling.settle, settling.look_back, Keeping(settings, bus, db).keep, receive)
