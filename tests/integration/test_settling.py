"""What another process left behind, or had no room to track, is settled by the next, each state once."""

import asyncio
import contextlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest

import rows
import samples
from outerloop.cli import kafka
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.ingest import settling
from outerloop.ingest.core.quiet import Patience, Tracker
from outerloop.ingest.settling import Settling
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topic_of
from outerloop.store import settlements
from outerloop.store.migrate import migrate
from outerloop.trace.otlp import spans_of

TOPIC = topic_of(TraceSettled).name
# Number of a run -> how long ago it was stored.
AGES = {
    1: timedelta(seconds=1),
    2: timedelta(minutes=30),
    3: timedelta(hours=40),
    4: timedelta(minutes=31),
    5: timedelta(days=5),  # nobody looks as far back
}


async def test_what_was_left_behind_is_settled_once(
    tansu: str, chdb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_MOST", 1)  # many looks at the same minutes
    settings = Settings(
        kafka=tansu,
        kafka_idempotent_producer=False,
        clickhouse=chdb,
        clickhouse_database=f"left_{uuid.uuid4().hex[:8]}",
    )
    await migrate(settings)
    await kafka.create_topics(settings, {TOPIC: 1}, 1)
    db, now = ClickHouse(settings), datetime.now(UTC)
    for number, age in AGES.items():
        await rows.insert(db, spans_of(samples.run(number, "Hi")), now - age)
    await settlements.insert(db, await settlements.summaries(db, [samples.trace_id(4)]))
    monkeypatch.setattr(settling, "_ROWS", 4)
    tracker, patience = Tracker(Patience(rooted=0.1, rootless=1)), Patience(rooted=0.1, rootless=1)
    async with Bus(settings, "ingest") as bus:
        here = Settling(bus, db, tracker, patience)
        working = [asyncio.create_task(here.look_back()), asyncio.create_task(here.settle())]
        async with asyncio.timeout(60):
            while len(await kafka.records(settings, TOPIC)) < 3:  # noqa: ASYNC110 - it happens in broker and engine
                await asyncio.sleep(0.2)
        found = [TraceSettled.FromString(r.value) for r in await kafka.records(settings, TOPIC)]
        assert sorted(int(event.trace_id, 16) for event in found) == [1, 2, 3]
        tracker.seen(samples.trace_id(2), rooted=True, now=0)  # as of a redelivered record
        async with asyncio.timeout(30):
            while len(tracker):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)
        windows = await here._windows(now - timedelta(days=2), now)  # what is asked at once
        assert [begin.minute % 10 for begin, _ in windows] == [0] * len(windows)
        assert 2 <= len(windows) <= 3
        for task in working:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert len(await kafka.records(settings, TOPIC)) == 3
    await db.command(f"DROP DATABASE {settings.clickhouse_database}")
    await db.close()
