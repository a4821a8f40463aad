"""Spans into otel_traces the plain way: rows built in Python. For spans that were made, not sent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store.dialect_sql import DEFAULTS
from outerloop.store.spans import PLAIN
from outerloop.trace.model import Span


async def insert(db: ClickHouse, spans: Sequence[Span], stored_at: datetime) -> None:
    """Store spans as if they had come at that time; their content must stand in their attributes."""
    await db.insert("otel_traces", [_row(span, stored_at) for span in spans])


def _row(span: Span, stored_at: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {column: getattr(span, field) for column, field in (PLAIN | DEFAULTS).items()}
    row["SpanAttributes"], row["ResourceAttributes"] = span.attributes, span.resource
    # As integers: Python's datetime holds microseconds, and a span's time has nanoseconds.
    row["Timestamp"] = span.start_ns
    row["Duration"] = max(0, span.end_ns - span.start_ns)
    row["Events.Timestamp"] = [event.time_ns for event in span.events]
    row["Events.Name"] = [event.name for event in span.events]
    row["Events.Attributes"] = [event.attributes for event in span.events]
    row["StoredAt"] = stored_at
    return row
