"""Topics, read from the message options in proto/: a topic that exists only in Python would be a bug."""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import outerloop.contracts.v1 as contracts
from outerloop.contracts.v1 import topic_pb2

# The OpenTelemetry Collector's own topics: plain OTLP, no envelope of ours.
OTLP_SPANS = "otlp_spans"
OTLP_LOGS = "otlp_logs"
_TOPIC: Any = topic_pb2.topic  # generated stubs do not know extensions
_RETENTION_MS = {"week": 7 * 24 * 3600 * 1000, "forever": -1}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `key` is the field whose value is the record key, "" where the sender chooses.

    `writer` is the one service that writes it, or "person".
    """

    name: str
    message: str
    key: str
    partitions: int
    retention: str
    purpose: str
    writer: str

    @property
    def configs(self) -> dict[str, str]:
        """What Kafka is told when the topic is made; its own default would forget after a week."""
        return {"retention.ms": str(_RETENTION_MS[self.retention])}


@cache
def topics() -> dict[str, TopicSpec]:
    """Every topic of the loop, by name, in order of name."""
    specs = [spec for kind in message_types() if (spec := spec_of(kind))]
    specs += [
        TopicSpec(
            OTLP_SPANS,
            "ExportTraceServiceRequest",
            "",
            12,
            "week",
            "spans as a Collector writes them",
            "ingest",
        ),
        TopicSpec(
            OTLP_LOGS, "ExportLogsServiceRequest", "", 12, "week", "log events: evaluation results", "ingest"
        ),
    ]
    return {spec.name: spec for spec in sorted(specs, key=lambda s: s.name)}


@cache
def message_types() -> tuple[type[Message], ...]:
    """Every message class of the contracts."""
    found: list[type[Message]] = []
    for module in pkgutil.iter_modules(contracts.__path__):
        file = importlib.import_module(f"{contracts.__name__}.{module.name}").DESCRIPTOR
        found.extend(GetMessageClass(d) for d in file.message_types_by_name.values())
    return tuple(found)


def spec_of(message: Message | type[Message]) -> TopicSpec | None:
    """The topic that a message declares, None when it travels inside of others."""
    options = message.DESCRIPTOR.GetOptions()
    if not options.HasExtension(_TOPIC):
        return None
    topic = options.Extensions[_TOPIC]
    retention = topic_pb2.Retention.Name(topic.retention).removeprefix("RETENTION_").lower()
    name = message.DESCRIPTOR.full_name
    return TopicSpec(topic.name, name, topic.key, topic.partitions, retention, topic.purpose, topic.writer)


def topic_of(message: Message | type[Message]) -> TopicSpec:
    """The topic of a message that has one.

    Raises:
        TypeError: when the message declares none.
    """
    spec = spec_of(message)
    if spec is None:
        raise TypeError(f"{message.DESCRIPTOR.full_name} declares no topic")
    return spec


def dead_letter_topic(topic: str, group: str) -> str:
    """Where a group puts what it cannot handle."""
    return f"{topic}.{group}.dlq"
