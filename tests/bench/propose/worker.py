"""A process that works on one agent's evals as the service does, until nothing is left; to be killed.

It takes its settings from the environment, as the service does. That it is the only process with the agent is
its caller's word: Kafka would take seconds to believe it after each kill.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection

from outerloop.propose.app import Proposer
from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.settings import load


class Mute(Bus):
    """Publishes, and joins no group."""

    def subscribe(self, *_: object, **__: object) -> None:
        """Nothing is waited for: the caller says what there is to do."""


class Alone(Proposer):
    """The only proposer there is."""

    def _holds(self, agent: str) -> bool:
        return bool(agent)


def run(env: Mapping[str, str], say: Connection) -> None:
    """Says "working" once everything is connected, and "done" at the end."""
    os.environ.clear()
    os.environ.update(env)
    logging.disable(logging.ERROR)
    asyncio.run(_work(say))


async def _work(say: Connection) -> None:
    settings = load(ProposeSettings)
    db = ClickHouse(settings)
    bus = Mute(settings, "propose")
    proposer = Alone(settings, bus, db)
    async with bus:
        await db.query("SELECT 1")
        say.send("working")
        for agent in settings.repositories():
            await proposer.look_at(agent)
        say.send("done")
    await db.close()
