"""What a person says by a command, sent as an event."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message

from outerloop.cli.config import common
from outerloop.cli.kafka import connected, producer
from outerloop.runtime.envelope import headers_for, key_of, stable_id
from outerloop.runtime.topics import topic_of
from outerloop.runtime.tracecontext import step


async def publish(message: Message, because: Sequence[object]) -> None:
    """Send a message on its own topic; returns when Kafka has acknowledged it. `because` names its cause."""
    settings = common()
    event_id = stable_id(message.DESCRIPTOR.full_name, *because)
    headers = headers_for(message, event_id=event_id, source="cli", context=step(message).own)
    async with connected(settings, producer(settings)) as kafka:
        await kafka.send_and_wait(
            topic_of(message).name,
            message.SerializeToString(),
            key=key_of(message),
            headers=[(k, v.encode()) for k, v in headers.items()],
        )


def person(named: str) -> str:
    """Who gives the command: as named, else the user's name."""
    return named or getpass.getuser()


def now() -> datetime:
    """The time of a command."""
    return datetime.now(UTC)
