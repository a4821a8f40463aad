"""The API's prompt cache: what of a request is read from it, what is written to it, told by tokens.

As the real one: the prefix of a request up to a breakpoint (`cache_control`) is stored, in the order tools,
system, messages, by its exact content; a prefix shorter than the model's minimum is not, and nothing says so.
A request reads the longest stored prefix that ends at one of its breakpoints or at one of the 20 blocks
before it. What is read lives on for its time to live; what is not, is forgotten after it.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from outerloop.dev.messages_api.catalogue import Model
from outerloop.dev.messages_api.tokens import CHARS_PER_TOKEN, as_read

TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}
LOOKBACK = 20


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of one request; `written` to live for five minutes, `written_1h` for an hour."""

    read: int = 0
    written: int = 0
    written_1h: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """The end of a block: the prefix that ends there, in tokens and by its hash; `ttl` "" if unmarked."""

    tokens: int
    prefix: bytes
    ttl: str


class PromptCache:
    """The cache of one server; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[bytes, tuple[float, str]] = {}  # by prefix: when it is forgotten, its ttl

    def use(self, request: dict[str, Any], model: Model, owner: str) -> CacheUse:
        """What `owner`'s request, which is answered now, reads and writes."""
        now = self._clock()
        self._kept = {prefix: kept for prefix, kept in self._kept.items() if kept[0] > now}
        places = list(_places(request, f"{owner}/{model.id}"))
        marked = [i for i, place in enumerate(places) if place.ttl and place.tokens >= model.least_cached]
        if not marked:
            return CacheUse()
        hit = self._longest(places, marked)
        if hit is not None:
            self._keep(places[hit], self._kept[places[hit].prefix][1], now)
        read = places[hit].tokens if hit is not None else 0
        written = {"5m": 0, "1h": 0}
        for i in marked:
            place = places[i]
            written[place.ttl] += max(0, place.tokens - read - sum(written.values()))
            self._keep(place, place.ttl, now)
        return CacheUse(read, written["5m"], written["1h"])

    def _longest(self, places: list[_Place], marked: list[int]) -> int | None:
        for end in reversed(marked):
            for i in range(end, max(-1, end - LOOKBACK - 1), -1):
                if places[i].prefix in self._kept:
                    return i
        return None

    def _keep(self, place: _Place, ttl: str, now: float) -> None:
        until, known = self._kept.get(place.prefix, (0.0, ttl))
        self._kept[place.prefix] = (max(until, now + TTL_SECONDS[ttl]), max(known, ttl, key=TTL_SECONDS.get))  # type: ignore[arg-type]  # every ttl is a key


def _places(request: dict[str, Any], scope: str) -> Iterator[_Place]:
    digest = hashlib.sha256(scope.encode())
    characters = 0
    blocks = list(_blocks(request))
    for i, (where, block) in enumerate(blocks):
        text = json.dumps(as_read(block), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        characters += len(text)
        digest.update(f"{where}\0{text}\0".encode())
        ttl = _ttl(block)
        if not ttl and i == len(blocks) - 1:  # a mark on the request itself is one on its last block
            ttl = _ttl({"cache_control": request.get("cache_control")})
        yield _Place(ceil(characters / CHARS_PER_TOKEN), digest.copy().digest(), ttl)


def _blocks(request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every block in the order of the cache, with all that changes its meaning."""
    yield from (("tool", tool) for tool in request.get("tools", []))
    yield from (("system", block) for block in _listed(request.get("system", [])))
    how = json.dumps([request.get("tool_choice"), request.get("thinking")], sort_keys=True)
    for turn, message in enumerate(request["messages"]):
        where = f"{how}/{turn}/{message['role']}"
        yield from ((where, block) for block in _listed(message["content"]))


def _listed(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _ttl(block: dict[str, Any]) -> str:
    """Of the block's own mark, or of one inside it."""
    inner = block.get("content")
    marks = [block, *(inner if isinstance(inner, list) else [])]
    found = [mark["cache_control"].get("ttl", "5m") for mark in marks if mark.get("cache_control")]
    return str(found[-1]) if found else ""
