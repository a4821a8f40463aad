"""What a worker and the pods of its trials say to each other. Standard library only: pods wait for imports.

A pod connects to the worker once for each channel. A connection opens with HELLO bytes, `TOKEN channel`
padded with spaces; what follows is the channel's:

    tree      worker to pod: the agent's tree as a tar stream, then WHOLE
    control   worker to pod: one line of JSON, the command; then `ok` when its end has been heard, or the end
              of the stream, at which everything in the pod ends.
              pod to worker: `started`; then `exit N`, `memory`, `processes`, `disk`, or `broken WHY`
    stdin     worker to pod; stdout and stderr: pod to worker
    relay     both ways: one connection of the command to its loopback port

The token is a secret of one trial, and worthless after it. It crosses the pod network in clear, as does all
else; a network that is not trusted needs encryption below (the network plugin's, or WireGuard).
"""

import json
from asyncio import StreamReader, StreamWriter, gather
from dataclasses import asdict
from pathlib import Path
from typing import Any

from outerloop.trial.spec import Limits, Spec

HELLO = 64
WHOLE = b"whole"
CHUNK = 256 * 1024
LINE = 8 * 1024 * 1024  # bytes that a command's line may have
Streams = tuple[StreamReader, StreamWriter]


def hello(token: str, channel: str) -> bytes:
    """What a connection opens with."""
    return f"{token} {channel}".ljust(HELLO - 1).encode() + b"\n"


def request(spec: Spec, tree: str) -> bytes:
    """The line that asks for the command of `spec`, over a tree that is at `tree` in the pod."""
    asked = {
        "argv": spec.argv,
        "tree": tree,
        "environment": str(spec.environment.absolute()),
        "env": dict(spec.env),
        "urls": dict(spec.urls),
        "writable": spec.writable,
        "limits": asdict(spec.limits),
    }
    return json.dumps(asked).encode() + b"\n"


def requested(line: bytes) -> Spec:
    """The Spec of a request line."""
    asked: dict[str, Any] = json.loads(line)
    return Spec(
        argv=tuple(asked["argv"]),
        tree=Path(asked["tree"]),
        environment=Path(asked["environment"]),
        env=asked["env"],
        urls=asked["urls"],
        writable=asked["writable"],
        limits=Limits(**asked["limits"]),
    )


async def pump(reader: StreamReader, writer: StreamWriter) -> None:
    """Copies to the end, and passes the end on; a side that breaks off takes the other with it."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


async def splice(one: Streams, other: Streams) -> None:
    """Makes two connections one, until both directions have ended."""
    try:
        await gather(pump(one[0], other[1]), pump(other[0], one[1]))
    finally:
        one[1].close()
        other[1].close()
