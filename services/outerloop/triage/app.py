"""Wiring of triage: which topic goes where, and what runs beside."""

from collections.abc import Sequence
from itertools import groupby

from outerloop.contracts.v1.eval_pb2 import EvalReviewed
from outerloop.contracts.v1.failure_pb2 import FailureDetected
from outerloop.contracts.v1.label_pb2 import TraceLabelled
from outerloop.contracts.v1.mode_pb2 import ModeRuled
from outerloop.contracts.v1.replay_pb2 import ReplayRequested
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.service import Background
from outerloop.runtime.topics import topic_of
from outerloop.triage import life
from outerloop.triage.court import Rulings
from outerloop.triage.judging import Judging
from outerloop.triage.lookout import Lookout
from outerloop.triage.openings import Openings
from outerloop.triage.people import Labels
from outerloop.triage.settings import TriageSettings

SETTINGS = TriageSettings
_SETTLED, _DETECTED, _LABELLED, _REVIEWED, _RULED, _REPLAYED = (
    topic_of(kind).name
    for kind in (TraceSettled, FailureDetected, TraceLabelled, EvalReviewed, ModeRuled, ReplayRequested)
)
CONSUMES = (_SETTLED, _DETECTED, _LABELLED, _REVIEWED, _RULED, _REPLAYED, *life.STEPS)


class Triage:
    """The service; see the package."""

    def __init__(self, settings: TriageSettings, bus: Bus, db: ClickHouse) -> None:
        self._db = db
        self._judging = Judging(bus, db)
        self._openings = Openings(bus, db, settings.mode_opens_at)
        self._labels = Labels(db, self._judging)
        self.rulings = Rulings(db, self._openings)
        bus.subscribe(CONSUMES, self.handle, at_most=settings.triage_batch)

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Judge settled traces and look at failures together; everything else one by one."""
        for topic, run in groupby(batch, key=lambda d: d.topic):
            if topic == _SETTLED:
                await self._judging.settled({unpack(d, TraceSettled).trace_id: d for d in run})
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
            await self._judging.again(unpack(delivery, ReplayRequested).trace_ids)
        elif delivery.topic == _RULED:
            await self.rulings.ruled(unpack(delivery, ModeRuled))
        else:
            await life.step(self._db, delivery)


def wire(settings: TriageSettings, bus: Bus, db: ClickHouse) -> Sequence[Background]:
    """Subscribe, and name what runs beside."""
    triage = Triage(settings, bus, db)
    return (Lookout(bus, db, triage.rulings).look,)
