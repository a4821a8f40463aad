"""Work that no event announces, taken up by the one replica that holds the agent, from time to time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from outerloop.runtime import metrics
from outerloop.runtime.bus import Bus
from outerloop.runtime.errors import OuterloopError

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
TICK_SECONDS = 1.0


async def look_out(
    bus: Bus, topic: str, agents: Collection[str], visit: Callable[[str], Awaitable[None]]
) -> None:
    """For ever: visit each of `agents` when it becomes ours, and every LOOK_SECONDS.

    An agent is ours while the partition of `topic` with its key is assigned to this process. What is wrong
    with one agent, even a bug, is logged and counted, and does not keep us from the others.
    """
    looked: dict[str, float] = {}
    while True:
        for agent in agents:
            if not bus.holds(topic, agent):
                looked.pop(agent, None)
            elif time.monotonic() - looked.get(agent, -LOOK_SECONDS) >= LOOK_SECONDS:
                try:
                    await visit(agent)
                except OuterloopError as error:
                    waits(bus, agent)
                    log.warning("%s waits: %s", agent, error)
                except Exception:
                    waits(bus, agent)
                    log.exception("%s waits", agent)
                looked[agent] = time.monotonic()
        await asyncio.sleep(TICK_SECONDS)


def waits(bus: Bus, agent: str) -> None:
    """Count that an agent's next step could not be taken now: who is on call hears of it if it lasts."""
    metrics.AGENT_WAITS.labels(bus.group, agent).inc()
