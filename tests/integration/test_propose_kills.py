"""kill -9 in the middle of sessions, by the same code that `make bench-propose` measures with."""

import uuid
from pathlib import Path

from bench.propose.kills import kills
from outerloop.cli import kafka
from outerloop.propose.app import CONSUMES
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topics
from outerloop.store.migrate import migrate


async def test_whatever_is_killed_goes_on_and_pays_for_no_call_twice(
    tansu: str, chdb: str, tmp_path: Path
) -> None:
    settings = Settings(
        kafka=tansu,
        kafka_idempotent_producer=False,
        clickhouse=chdb,
        clickhouse_database=f"kills_{uuid.uuid4().hex[:8]}",
    )
    await migrate(settings)
    dead = {dead_letter_topic(name, "propose"): 1 for name in CONSUMES}
    await kafka.create_topics(settings, dict.fromkeys(topics(), 1) | dead, 1)
    tally = await kills(settings, tmp_path, 2, seed=11)
    assert tally.kills == 2
    assert (tally.lost_sessions, tally.double_proposals, tally.calls_paid_twice) == (0, 0, 0)
    assert tally.wrong_patches == 0
    assert 0 <= tally.in_flight <= 2
