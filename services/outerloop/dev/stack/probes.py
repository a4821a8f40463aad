"""Conditions that say a process is ready. A probe is asked again and again, and answers within 2 s."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import aiohttp

from outerloop.dev.stack.output import Output

Probe = Callable[[Output], Awaitable[bool]]


async def started(_: Output) -> bool:
    """Ready as soon as it runs."""
    return True


def port(number: int) -> Probe:
    """Something accepts connections on 127.0.0.1:`number`."""

    async def probe(_: Output) -> bool:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", number)
        except OSError:
            return False
        writer.close()
        return True

    return probe


def json_line(key: str) -> Probe:
    """The process has printed a line that is a JSON object with `key`."""

    def holds(line: str) -> bool:
        try:
            found = json.loads(line)
        except ValueError:
            return False
        return isinstance(found, dict) and key in found

    async def probe(output: Output) -> bool:
        return any(holds(line) for line in output.text().splitlines() if line.startswith("{"))

    return probe


def http_ok(url: str) -> Probe:
    """GET `url` answers 200."""

    async def probe(_: Output) -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=2)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    return probe
