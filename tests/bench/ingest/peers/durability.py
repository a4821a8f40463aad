"""OTLP over HTTP as fast as it is taken, for some seconds; then kill -9, a new start, and a count."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import aiohttp

from bench.installed import Unavailable

AT_ONCE = 4
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_STILL_SECONDS, _LOOK_SECONDS = 10.0, 0.25


class Store(Protocol):
    """Something that takes spans and keeps them."""

    url: str
    headers: Mapping[str, str]

    @abstractmethod
    async def rows(self) -> int:
        """Rows that it has of this measurement."""

    @abstractmethod
    async def unique(self) -> int:
        """Different spans that it has of this measurement."""

    @abstractmethod
    async def kill(self) -> None:
        """kill -9."""

    @abstractmethod
    async def start(self) -> None:
        """Start on the same data; it is back at the end of this."""


@dataclass(slots=True)
class Sending:
    """What has been acknowledged so far."""

    accepted: int = 0
    refused: str = ""
    began: float = field(default_factory=time.monotonic)
    ended: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Durability:
    """Spans that were acknowledged and stored, in so many seconds; those found after kill -9 and a start."""

    accepted: int
    accepting: float
    stored: int
    storing: float
    found: int

    def figures(self) -> dict[str, float]:
        """Rates in spans a second, and the share of the acknowledged that is gone."""
        return {
            "accepted_per_s": round(self.accepted / self.accepting),
            "persisted_per_s": round(self.stored / self.storing),
            "lost_share_after_kill": round(max(0.0, 1 - self.found / self.accepted), 4),
        }


async def durability(store: Store, load: Iterable[tuple[bytes, int]], seconds: float) -> Durability:
    """The measurement; `store` runs, and has nothing of `load`.

    The kill comes after all is acknowledged, and once all is stored or the seconds are over.

    Raises:
        Unavailable: it takes nothing.
    """
    sent = await send(store.url, store.headers, load, seconds)
    if not sent.accepted:
        raise Unavailable(f"it has taken nothing: {sent.refused or 'no answer in time'}")
    until = sent.began + seconds
    while (stored := await store.rows()) < sent.accepted and time.monotonic() < until:  # noqa: ASYNC110 - it happens in there
        await asyncio.sleep(_LOOK_SECONDS)
    storing = time.monotonic() - sent.began
    await store.kill()
    await store.start()
    found = await _at_rest(store, sent.accepted)
    return Durability(sent.accepted, sent.ended - sent.began, stored, storing, found)


async def send(
    url: str, headers: Mapping[str, str], load: Iterable[tuple[bytes, int]], seconds: float
) -> Sending:
    """Send until the load or the time is over; who says that it is busy is asked again, as OTLP has it."""
    sending, rest = Sending(), iter(load)
    kind = {"Content-Type": "application/x-protobuf"}
    timeout = aiohttp.ClientTimeout(total=seconds + 60)
    async with aiohttp.ClientSession(headers={**kind, **headers}, timeout=timeout) as session:
        until = sending.began + seconds
        await asyncio.gather(*(_sender(session, url, rest, until, sending) for _ in range(AT_ONCE)))
    return sending


async def _sender(
    session: aiohttp.ClientSession,
    url: str,
    rest: Iterator[tuple[bytes, int]],
    until: float,
    sending: Sending,
) -> None:
    for payload, held in rest:
        while time.monotonic() < until:
            async with session.post(url, data=payload) as answer:
                said = await answer.read()
            if answer.status == HTTPStatus.OK:
                sending.accepted += held
                sending.ended = time.monotonic()
                break
            if answer.status not in _BUSY:
                sending.refused = f"{answer.status} {said[:200].decode(errors='replace')}"
                return
            await asyncio.sleep(pause(answer.headers.get("Retry-After", "")))
        else:
            return


def pause(retry_after: str) -> float:
    """Seconds until one asks again: what was said, but no longer than makes sense in a measurement."""
    return min(float(retry_after), _LONGEST_PAUSE) if retry_after.isdecimal() else _PAUSE


async def _at_rest(store: Store, most: int) -> int:
    """What is found once all is there, or nothing has come for a while."""
    found, moved = -1, time.monotonic()
    while found < most and time.monotonic() - moved < _STILL_SECONDS:
        if (now := await store.unique()) > found:
            found, moved = now, time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)
    return found
