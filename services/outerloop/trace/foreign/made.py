"""What a row of another tool's export becomes, and how its values are read. Bad rows are a ValueError."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Row = Mapping[str, Any]
Attributes = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Made:
    """Spans, and evaluation results as log events; `unmapped`: fields that say something without a place."""

    spans: list[Span] = field(default_factory=list[Span])
    results: list[LogRecord] = field(default_factory=list[LogRecord])
    unmapped: Counter[str] = field(default_factory=Counter[str])


def identity(text: Any, length: int, what: str) -> bytes:
    """An id of so many bytes: the hex that `text` is (dashes aside), else a hash of it, always the same."""
    if not isinstance(text, str) or not text:
        raise ValueError(f"has no {what}")
    plain = text.replace("-", "").removeprefix("0x")
    try:
        if len(plain) == 2 * length and any(found := bytes.fromhex(plain)):
            return found
    except ValueError:
        pass
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=length).digest()


def nanoseconds(value: Any, what: str) -> int:
    """Nanoseconds since 1970 of a date and time, in UTC unless it says otherwise."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{what} is no date and time: {str(value)[:80]!r}") from None
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    found = (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    if found < 0:
        raise ValueError(f"{what} is before 1970: {str(value)[:80]!r}")
    return found


def text(value: Any) -> str:
    """A text as it is, anything else as its JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes of OTLP; what says nothing is left out."""
    return [KeyValue(key=k, value=any_value(v)) for k, v in attributes.items() if v not in (None, "", [], {})]


def any_value(value: Any) -> AnyValue:
    """A value of OTLP; what is neither a scalar nor a list of them is its JSON."""
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if -(2**63) <= value < 2**63:
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list() if all(isinstance(item, bool | int | float | str) for item in value):
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case _:
            return AnyValue(string_value=_encodable(text(value)))


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """OpenInference's flat names: `messages: [{role: user}]` is `messages.0.role: user`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for place, inner in enumerate(value):
            yield from flat(f"{name}.{place}", inner)
    elif value is not None and value == value:  # noqa: PLR0124 - what is not itself is a table's empty cell, NaN
        yield name, value


def _encodable(string: str) -> str:
    # Half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    return string.encode("utf-8", "replace").decode()
