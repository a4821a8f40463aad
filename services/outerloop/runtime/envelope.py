"""The envelope: CloudEvents in binary mode (headers) around plain protobuf, with W3C trace context."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from outerloop.runtime.errors import PoisonError
from outerloop.runtime.topics import topic_of
from outerloop.runtime.tracecontext import Context

# Every deterministic id of ours is a UUIDv5 below this name.
NAMESPACE = uuid.UUID("6f7d1c1e-0f3a-5b6e-9a53-0c6d5c1f2b11")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record as it came: `value` is None for a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


def stable_id(*parts: object) -> str:
    """The id of what these parts name: the same parts give the same id, anywhere and always."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


def headers_for(message: Message, *, event_id: str, source: str, context: Context) -> dict[str, str]:
    """The headers of an event. `event_id` must follow from what caused it, so that a repeat is recognised."""
    return {
        "content-type": "application/protobuf",
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_type": message.DESCRIPTOR.full_name,
        "ce_source": f"outerloop/{source}",
        "ce_time": datetime.now(UTC).isoformat(),
        "traceparent": str(context),
    }


def unpack(delivery: Delivery, kind: type[M]) -> M:
    """The message in a record.

    Raises:
        PoisonError: when the record says it is something else, or does not parse.
    """
    said = delivery.headers.get("ce_type", "")
    if said and said != kind.DESCRIPTOR.full_name:
        raise PoisonError(f"{delivery} carries {said}, and {kind.DESCRIPTOR.full_name} belongs there")
    try:
        message = kind.FromString(delivery.value or b"")
    except DecodeError as error:
        raise PoisonError(f"{delivery} is not a {kind.DESCRIPTOR.full_name}: {error}") from error
    if not getattr(message, topic_of(kind).key):
        raise PoisonError(f"{delivery} has no {topic_of(kind).key}")
    return message


def key_of(message: Message) -> bytes:
    """The record key that the contract names."""
    return str(getattr(message, topic_of(message).key)).encode()
