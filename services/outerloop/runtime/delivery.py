"""At least once, with effects that happen once: what is done when a handler succeeds, fails or cannot.

A batch is handled whole. If that fails, each record is handled alone, so that one bad record costs only
itself: it is tried again a bounded number of times, then dead-lettered with what went wrong. A handler that
knows which records of a batch are bad handles the rest and says so (PartlyPoisonError). An outage is waited
for.

A flood of failures stops the service instead of draining the topic into the dead letters. The rule: while
the last record failed and more wait to be read, letters are held back and nothing is committed; `flood_run`
failures without a success between them stop the service. So nothing of a run of that length that stands in
the topic is dead-lettered or committed, however batches cut it and however often the service starts again.
Only what has failed when there is nothing left to read becomes letters at once: one bad record in a quiet
topic must not wait for the next good one. Letters go out just before their offsets are committed, so a stop
leaves none behind of records that come again.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from outerloop.runtime import metrics
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import DeadLetterFloodError, OutageError, OuterloopError, PoisonError

log = logging.getLogger(__name__)

Handler = Callable[[Sequence[Delivery]], Awaitable[None]]
# (record, error, attempts made)
DeadLetter = Callable[[Delivery, Exception, int], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


class PartlyPoisonError(OuterloopError):
    """A batch that is handled but for some of its records, which never can be: says which, and why."""

    def __init__(self, poisoned: Mapping[str, PoisonError]) -> None:
        """`poisoned` are by str(Delivery)."""
        super().__init__(f"{len(poisoned)} records are poison")
        self.poisoned = poisoned


@dataclass(frozen=True, slots=True)
class Limits:
    """Attempts for a failing record, waits in seconds, and what counts as a flood of dead letters."""

    retries: int = 3
    first_wait: float = 0.2
    longest_wait: float = 5.0  # so that what waited is taken up soon after an outage
    flood_run: int = 50
    flood_window: int = 1000
    flood_share: float = 0.5


class Deliverer:
    """Hands batches to a handler and decides what becomes of failures.

    After `deliver`, offsets may be committed once `release` has returned; see above for when to call it.
    """

    def __init__(
        self,
        group: str,
        handle: Handler,
        dead_letter: DeadLetter,
        limits: Limits,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._group = group
        self.waiting_for = ""  # the outage that we wait for, "" when there is none
        self.run = 0  # failures since the last record that was handled
        self._handle = handle
        self._dead_letter = dead_letter
        self._limits = limits
        self._sleep = sleep
        self._recent: deque[bool] = deque(maxlen=limits.flood_window)
        # By name: what was not committed comes again when partitions change hands, and counts once.
        self._held: dict[str, tuple[Delivery, Exception, int]] = {}
        for outcome in ("handled", "dead-lettered"):
            metrics.RECORDS.labels(group, outcome)  # from zero, so that the first one is a rise

    async def deliver(self, batch: Sequence[Delivery]) -> None:
        """Handle the batch, and hold back the letters of what failed.

        Raises:
            DeadLetterFloodError: when too much has failed; nothing that is held back may be committed.
        """
        error = await self._attempt(batch)
        if error is None:
            self._handled(batch)
        elif isinstance(error, PartlyPoisonError):
            for record in batch:
                if poison := error.poisoned.get(str(record)):
                    self._letter(record, poison, 1)
                else:
                    self._handled([record])
        elif len(batch) == 1:
            await self._retry(batch[0], error)
        else:
            log.warning("a batch of %d failed (%s); handling each record alone", len(batch), error)
            for record in batch:
                await self.deliver([record])

    async def release(self) -> None:
        """Publish the letters that are held back."""
        for letter in self._held.values():
            await self._dead_letter(*letter)
            metrics.RECORDS.labels(self._group, "dead-lettered").inc()
        self._held.clear()

    async def _attempt(self, batch: Sequence[Delivery]) -> Exception | None:
        wait = self._limits.first_wait
        while True:
            try:
                await self._handle(batch)
            except OutageError as outage:
                self._wait_for(str(outage))
                log.warning("waiting %.1f s: %s", wait, outage)
                await self._sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
                wait = min(wait * 2, self._limits.longest_wait)
            except Exception as error:  # noqa: BLE001 - the one boundary: anything else is a failed attempt
                self._wait_for("")
                return error
            else:
                self._wait_for("")
                return None

    async def _retry(self, record: Delivery, first: Exception) -> None:
        error, attempts, wait = first, 1, self._limits.first_wait
        while attempts <= self._limits.retries and not isinstance(error, PoisonError):
            log.warning("%s failed (attempt %d): %s", record, attempts, error, exc_info=error)
            await self._sleep(wait)
            wait = min(wait * 2, self._limits.longest_wait)
            again = await self._attempt([record])
            attempts += 1
            metrics.RETRIES.labels(self._group).inc()
            if again is None:
                self._handled([record])
                return
            error = again
        self._letter(record, error, attempts)

    def _letter(self, record: Delivery, error: Exception, attempts: int) -> None:
        log.error("dead letter: %s after %d attempts: %s", record, attempts, error, exc_info=error)
        if str(record) not in self._held:
            self._stop_a_flood(error)
        self._held[str(record)] = (record, error, attempts)

    def _handled(self, batch: Sequence[Delivery]) -> None:
        self.run = 0
        self._recent.extend([False] * len(batch))
        for record in batch:
            self._held.pop(str(record), None)
        metrics.RECORDS.labels(self._group, "handled").inc(len(batch))

    def _wait_for(self, outage: str) -> None:
        self.waiting_for = outage
        metrics.WAITING.labels(self._group).set(bool(outage))

    def _stop_a_flood(self, error: Exception) -> None:
        self.run += 1
        self._recent.append(True)
        limits = self._limits
        failed, full = sum(self._recent), len(self._recent) == limits.flood_window
        if self.run >= limits.flood_run or (full and failed > limits.flood_share * limits.flood_window):
            raise DeadLetterFloodError(
                f"{failed} of the last {len(self._recent)} records could not be handled; the last: {error}"
            )
