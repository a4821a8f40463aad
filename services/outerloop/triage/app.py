"""Wiring of triage: which topic goes where, and what runs beside."""

import logging
from collections.abc import Sequence
from itertools import groupby

from anthropic import AsyncAnthropic

from outerloop.contracts.v1.detector_pb2 import DetectorChosen
from outerloop.contracts.v1.eval_pb2 import EvalReviewed
from outerloop.contracts.v1.failure_pb2 import FailureDetected
from outerloop.contracts.v1.label_pb2 import TraceLabelled
from outerloop.contracts.v1.loop_pb2 import LoopPaused
from outerloop.contracts.v1.mode_pb2 import ModeRuled
from outerloop.contracts.v1.replay_pb2 import ReplayRequested
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.pause import Pauses
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.store import verdicts
from outerloop.triage import life
from outerloop.triage.asking import CALL_SECONDS, Asker
from outerloop.triage.court import Rulings
from outerloop.triage.following import Following
from outerloop.triage.judge import Judge
from outerloop.triage.judges import Judges
from outerloop.triage.judging import Judging
from outerloop.triage.learning import Learning
from outerloop.triage.lookout import Lookout, visiting
from outerloop.triage.naming import Namer
from outerloop.triage.openings import Openings
from outerloop.triage.people import Labels
from outerloop.triage.settings import TriageSettings

log = logging.getLogger(__name__)

SETTINGS = TriageSettings
_SETTLED, _DETECTED, _LABELLED, _REVIEWED, _RULED, _REPLAYED, _CHOSEN = (
    topic_of(kind).name
    for kind in (
        TraceSettled,
        FailureDetected,
        TraceLabelled,
        EvalReviewed,
        ModeRuled,
        ReplayRequested,
        DetectorChosen,
    )
)
CONSUMES = (_SETTLED, _DETECTED, _LABELLED, _REVIEWED, _RULED, _REPLAYED, _CHOSEN, *life.STEPS)
# What is heard as news, in no consumer group: whether the model may be asked.
HEARS = (topic_of(LoopPaused).name,)


class Triage:
    """The service; see the package."""

    def __init__(self, settings: TriageSettings, bus: Bus, db: ClickHouse) -> None:
        self._db = db
        self.judges = Judges(db, settings.triage_judge_precision)
        self.judging = Judging(bus, db, self.judges)
        self._openings = Openings(bus, db, settings.mode_opens_at)
        self._labels = Labels(db, self.judging)
        self.learning = Learning(db, settings.triage_adopts)
        self.rulings = Rulings(db, self._openings)
        self.following = Following(db, self._openings, settings.mode_opens_at)
        bus.subscribe(CONSUMES, self.handle, at_most=settings.triage_batch)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Judge settled traces and look at failures together; everything else one by one."""
        for topic, run in groupby(batch, key=lambda d: d.topic):
            if topic == _SETTLED:
                await self.judging.settled({unpack(d, TraceSettled).trace_id: d for d in run})
            elif topic == _DETECTED:
                await self._openings.detected(list(run))
            else:
                for delivery in run:
                    await self._one(delivery)

    async def _one(self, delivery: Delivery) -> None:
        if delivery.topic == _LABELLED:
            await self._labels.labelled(unpack(delivery, TraceLabelled))
        elif delivery.topic == _REVIEWED:
            review = unpack(delivery, EvalReviewed)
            await self._labels.reviewed(review)
            await self.rulings.reviewed(review, delivery.headers.get("ce_id") or str(delivery))
        elif delivery.topic == _REPLAYED:
            await self.judging.again(unpack(delivery, ReplayRequested).trace_ids)
        elif delivery.topic == _CHOSEN:
            await self.learning.chosen(unpack(delivery, DetectorChosen))
        elif delivery.topic == _RULED:
            await self.rulings.ruled(unpack(delivery, ModeRuled))
        else:
            await life.step(self._db, delivery)


def wire(settings: TriageSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    triage = Triage(settings, bus, db)
    lookout = Lookout(bus, db, triage.rulings)

    async def follow() -> None:
        await visiting(bus, lambda: verdicts.agents(db), triage.following.visit)

    async def learn() -> None:  # apart from the lookout, which would wait for it
        await visiting(bus, lambda: verdicts.agents(db), triage.learning.visit)

    beside = (lookout.look, follow, learn)
    if not settings.triage_model:
        return beside
    if not settings.anthropic_api_key:
        log.warning("there is no ANTHROPIC_API_KEY: the model of OUTERLOOP_TRIAGE_MODEL is not asked")
        return beside
    client = AsyncAnthropic(
        api_key=settings.anthropic_api_key.get_secret_value(),
        base_url=settings.anthropic_base_url,
        max_retries=0,
        timeout=CALL_SECONDS,
    )
    asker = Asker(db, client, settings.triage_model, settings.triage_usd_per_day)
    paused = Pauses(bus).why
    judge = Judge(db, asker, triage.judging, triage.judges, paused)
    namer = Namer(db, asker, paused)

    async def ask() -> None:
        async with client:
            await visiting(bus, asker.agents, namer.visit, judge.visit)

    return (*beside, ask)
