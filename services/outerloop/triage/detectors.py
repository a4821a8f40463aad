"""Who judges an agent's traces: the detector that was adopted for it, and beside it who is still asked."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import detectors
from outerloop.triage.core.detector import Detector
from outerloop.triage.core.signals import DETECTOR

log = logging.getLogger(__name__)

# So many that were learned are asked beside the one in use, each for a release that is measured by it.
MOST_BESIDE = 3
_LEARNED = f"{DETECTOR}+"


@dataclass(frozen=True, slots=True)
class Panel:
    """`first` decides; what the others say is kept: one detector measures a release, before and since."""

    first: Detector
    beside: tuple[Detector, ...] = ()


class Panels:
    """Loads detectors when decisions change; between two batches, so that a batch has one."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db
        self._loaded: dict[tuple[str, str], Detector] = {}

    async def of(self, agents: Sequence[str]) -> dict[str, Panel]:
        """The panel of each of these agents."""
        chosen = await detectors.in_use(self._db, agents)
        watched = await detectors.watched(self._db, agents)
        return {
            agent: await self._panel(agent, chosen.get(agent, detectors.RULES), watched.get(agent, ()))
            for agent in agents
        }

    async def of_version(self, agent: str, version: str) -> Detector:
        """A detector by its version; the rules alone where there is none of it that these rules can use."""
        if not version.startswith(_LEARNED):
            return Detector(agent)
        key = (agent, version)
        if key not in self._loaded:
            state = await detectors.state(self._db, agent, version)
            if state is None:
                log.warning("%s: there is no detector %s: the rules judge alone", agent, version)
            self._loaded[key] = await asyncio.to_thread(loaded, state) if state else Detector(agent)
        return self._loaded[key]

    async def _panel(self, agent: str, version: str, watched: Sequence[str]) -> Panel:
        first = await self.of_version(agent, version)
        others = [each for each in watched if each.startswith(_LEARNED) and each != first.name][:MOST_BESIDE]
        beside = [await self.of_version(agent, each) for each in others]
        if first.name != DETECTOR:
            beside.append(Detector(agent))
        for key in [(a, v) for a, v in self._loaded if a == agent and v not in {version, *others}]:
            del self._loaded[key]
        return Panel(first, tuple(beside))


def loaded(state: str) -> Detector:
    """A detector that is ready to judge."""
    detector = Detector.from_json(state)
    _ = detector.taught
    return detector
