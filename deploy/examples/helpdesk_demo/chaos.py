"""`--kill`: kill -9 a service amid its work and start it again; the loop must close all the same."""

import asyncio

from helpdesk_demo.watch import Watch
from outerloop.dev.stack import Stack

# When a service is in the middle of its work: a query that counts, and when it is enough.
MIDDLE = {
    # Some of the day's spans are stored; the rest, and all settling, is still to come.
    "ingest": ("SELECT count() AS n FROM otel_traces", 100),
    # Some traces are judged, not all.
    "triage": ("SELECT count() AS n FROM verdicts", 20),
    # A mode has opened: its eval is being drafted, or on its way to review.
    "draft": ("SELECT count() AS n FROM mode_states WHERE state = 'open'", 1),
    # A session has begun: some steps are paid for, and no change is proposed yet.
    "propose": ("SELECT count() AS n FROM harness_steps", 2),
    # Trials have run, and there is no decision.
    "gate": ("SELECT count() AS n FROM trials", 2),
}


class Chaos:
    """Strikes each of `services` once."""

    def __init__(self, stack: Stack, watch: Watch, services: tuple[str, ...]) -> None:
        self.killed: list[str] = []
        self._stack = stack
        self._watch = watch
        self._services = services
        self._finished = asyncio.Event()

    async def strike(self) -> None:
        """Wait for the middle of each one's work, then kill it; runs beside the demo until its end."""
        await asyncio.gather(*map(self._strike, self._services))
        self._finished.set()
        await asyncio.Event().wait()

    async def done(self) -> None:
        """Wait until every service has been killed and is back."""
        await self._finished.wait()

    async def _strike(self, service: str) -> None:
        query, enough = MIDDLE[service]
        await self._watch.until(query, enough)
        await self._stack.kill(service)
        self._watch.teller.say("chaos", f"kill -9 {service}, in the middle of its work")
        await self._stack.start(service)
        self.killed.append(service)
        self._watch.teller.say("chaos", f"{service} is back")
