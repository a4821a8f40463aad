"""Table otel_traces: one row a span. Writer: ingest."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from clickhouse_connect.driver.exceptions import DatabaseError

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OuterloopError
from outerloop.store import landing
from outerloop.store.dialect_sql import ALIASES, DEFAULTS
from outerloop.trace.model import Event, Span, Trace
from outerloop.trace.understand import understand

# Column -> field, where the one is simply the other.
PLAIN = {
    "TraceId": "trace_id",
    "SpanId": "span_id",
    "ParentSpanId": "parent_span_id",
    "TraceState": "trace_state",
    "SpanName": "name",
    "SpanKind": "kind",
    "ServiceName": "service",
    "ScopeName": "scope_name",
    "ScopeVersion": "scope_version",
    "StatusCode": "status",
    "StatusMessage": "status_message",
}
_FIELDS = PLAIN | DEFAULTS
_CONTENT = frozenset(ALIASES.values())
_SELECT = f"""
SELECT {", ".join(_FIELDS)}, toUnixTimestamp64Nano(Timestamp) AS start_ns, Duration,
       mapKeys(SpanAttributes) AS names, mapValues(SpanAttributes) AS texts,
       mapKeys(ResourceAttributes) AS resource_names, mapValues(ResourceAttributes) AS resource_texts,
       arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`) AS event_times,
       `Events.Name` AS event_names, arrayMap(m -> mapKeys(m), `Events.Attributes`) AS event_attribute_names,
       arrayMap(m -> mapValues(m), `Events.Attributes`) AS event_attribute_texts
FROM otel_traces FINAL
"""  # noqa: S608 - column names of ours only


class RefusedError(OuterloopError):
    """ClickHouse does not take the bytes; an outage is an OutageError."""


async def store(db: ClickHouse, exports: bytes, token: str) -> None:
    """Store length-delimited exports that trace.wire has checked; a span that is there replaces itself.

    `token` names what is inserted: the same again is recognised and not stored twice.

    Raises:
        RefusedError: when they cannot be parsed.
    """
    try:
        await db.insert_raw("otlp_landing", exports, "Protobuf", token=token, **_settings())
    except DatabaseError as error:
        raise RefusedError(str(error)) from error


async def traces(db: ClickHouse, trace_ids: Sequence[str]) -> dict[str, Trace]:
    """The stored traces of these ids; an id of which nothing is stored is left out."""
    rows = await db.query(_SELECT + "WHERE TraceId IN {ids:Array(String)}", ids=list(trace_ids))
    spans: dict[str, list[Span]] = {}
    for row in rows:
        spans.setdefault(row["TraceId"], []).append(_span(row))
    return {trace_id: Trace.of(of_trace) for trace_id, of_trace in spans.items()}


@cache
def _settings() -> Mapping[str, str | int]:
    return {
        "format_schema_source": "string",
        "format_schema": landing.schema(),
        "format_schema_message_name": "Export",
        "input_format_protobuf_oneof_presence": 1,
        # Spans that came twice are one when parts are merged, and where one reads with FINAL: to look for
        # them within an insert as well costs a fifth of all.
        "optimize_on_insert": 0,
        # Each insert has the view planned anew: what the optimizer finds in it saves less than it takes.
        "query_plan_enable_optimizations": 0,
    }


def _span(row: Mapping[str, Any]) -> Span:
    events = zip(
        row["event_times"],
        row["event_names"],
        row["event_attribute_names"],
        row["event_attribute_texts"],
        strict=True,
    )
    attributes = _first_of_each(row["names"], row["texts"])
    resource = _first_of_each(row["resource_names"], row["resource_texts"])
    # The columns Input, Output and so on say the same, but are made anew for every query that names them.
    content = {k: v for k, v in understand(attributes, resource).items() if k in _CONTENT}
    return Span(
        **{field: row[column] for column, field in _FIELDS.items()},
        start_ns=row["start_ns"],
        end_ns=row["start_ns"] + row["Duration"],
        attributes=attributes,
        resource=resource,
        events=tuple(Event(time, name, _first_of_each(k, v)) for time, name, k, v in events),
        **content,  # type: ignore[arg-type]  # of these fields all are texts
    )


def _first_of_each(names: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    # A map of ClickHouse may hold a name twice, and it answers with the first.
    return dict(zip(reversed(names), reversed(texts), strict=True))
