"""How OTLP becomes rows inside ClickHouse: table otlp_landing, which keeps nothing, and the view behind it.

They stand committed in a migration; a test compares. The landing table has the nested structure of
landing.proto; every set of attributes goes the same way through `_texts` (their text, for the Collector's
columns) and `_shape` (a letter for what each value was, so that it can be given back).
"""

from importlib import resources

from outerloop.store.dialect_sql import json_string

# Letter of Shape -> number of the field in landing.proto: what a value was. `-`: nothing at all.
LETTERS = {"-": 0, "s": 1, "b": 2, "i": 3, "d": 4, "a": 5, "y": 7, "r": 16}
_ARM = f"Enum8({', '.join(f'{letter!r} = {number}' for letter, number in LETTERS.items())})"
_VALUE = (
    f"Tuple(arm {_ARM}, string_value String, bool_value Bool, int_value Int64, double_value Float64,"
    " array_value Tuple(values Array(Tuple(string_value String))), bytes_value String, raw String,"
    " json String)"
)
_PAIRS = f"Array(Tuple(key String, value {_VALUE}))"
_EVENTS = (
    f"Array(Tuple(time_unix_nano UInt64, name String, attributes {_PAIRS}, dropped_attributes_count UInt32))"
)
_LINKS = (
    f"Array(Tuple(trace_id String, span_id String, trace_state String, attributes {_PAIRS},"
    " dropped_attributes_count UInt32, flags UInt32))"
)
_SPANS = (
    "Array(Tuple(trace_id String, span_id String, trace_state String, parent_span_id String, name String,"
    f" kind Int32, start_time_unix_nano UInt64, end_time_unix_nano UInt64, attributes {_PAIRS},"
    f" dropped_attributes_count UInt32, events {_EVENTS}, dropped_events_count UInt32, links {_LINKS},"
    " dropped_links_count UInt32, status Tuple(message String, code Int32), flags UInt32))"
)
_SCOPES = (
    f"Array(Tuple(scope Tuple(name String, version String, attributes {_PAIRS},"
    f" dropped_attributes_count UInt32), spans {_SPANS}, schema_url String))"
)
_RESOURCES = (
    f"Array(Tuple(resource Tuple(attributes {_PAIRS}, dropped_attributes_count UInt32,"
    f" entity_refs Array(String)), scope_spans {_SCOPES}, schema_url String))"
)
_TEXT = (
    "multiIf(v.arm = 's', v.string_value, v.arm = 'i', toString(v.int_value),"
    " v.arm = 'd', toString(v.double_value), v.arm = 'b', if(v.bool_value, 'true', 'false'),"
    f" v.arm = 'a', {json_string('v.array_value.values.string_value')}, v.arm = 'r', v.json,"
    " v.arm = 'y', base64Encode(v.bytes_value), 'null')"
)


def _texts(pairs: str) -> str:
    with_texts = f"arrayMap((k, v) -> (k, {_TEXT}), {pairs}.key, {pairs}.value)"
    return f"CAST({with_texts}, 'Map(LowCardinality(String), String)')"


def _shape(pairs: str) -> str:
    return f"arrayStringConcat(CAST({pairs}.value.arm, 'Array(String)'))"


def _shapes(of: str) -> str:
    return f"arrayStringConcat(arrayMap(x -> {_shape('x')}, {of}.attributes), '/')"


def _time(number: str) -> str:
    return f"fromUnixTimestamp64Nano(toInt64({number}), 'UTC')"


_VIEW = f"""\
CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_landed TO otel_traces AS
SELECT
    {_time("starts")} AS Timestamp,
    lower(hex(s.trace_id)) AS TraceId,
    lower(hex(s.span_id)) AS SpanId,
    if(match(parent, '^0+$'), '', parent) AS ParentSpanId,
    s.trace_state AS TraceState,
    s.name AS SpanName,
    transform(s.kind, [0, 1, 2, 3, 4, 5],
        ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'],
        toString(s.kind)) AS SpanKind,
    ResourceAttributes['service.name'] AS ServiceName,
    ResourceAttributes,
    scope.name AS ScopeName,
    scope.version AS ScopeVersion,
    ScopeAttributes,
    {_texts("s.attributes")} AS SpanAttributes,
    if(ends > starts, ends - starts, 0) AS Duration,
    if(ends < starts, starts - ends, 0) AS EndsBefore,
    transform(s.status.code, [0, 1, 2], ['Unset', 'Ok', 'Error'], toString(s.status.code)) AS StatusCode,
    s.status.message AS StatusMessage,
    arrayMap(t -> {_time("t")}, s.events.time_unix_nano) AS `Events.Timestamp`,
    s.events.name AS `Events.Name`,
    arrayMap(x -> {_texts("x")}, s.events.attributes) AS `Events.Attributes`,
    s.events.dropped_attributes_count AS `Events.Dropped`,
    arrayMap(x -> lower(hex(x)), s.links.trace_id) AS `Links.TraceId`,
    arrayMap(x -> lower(hex(x)), s.links.span_id) AS `Links.SpanId`,
    s.links.trace_state AS `Links.TraceState`,
    arrayMap(x -> {_texts("x")}, s.links.attributes) AS `Links.Attributes`,
    s.links.dropped_attributes_count AS `Links.Dropped`,
    s.links.flags AS `Links.Flags`,
    s.flags AS Flags,
    [s.dropped_attributes_count, s.dropped_events_count, s.dropped_links_count,
        resource_dropped, scope.dropped_attributes_count] AS Dropped,
    ResourceSchemaUrl,
    ScopeSchemaUrl,
    EntityRefs,
    concat({_shape("s.attributes")}, ';', resource_shape, ';', {_shape("scope.attributes")}, ';',
        {_shapes("s.events")}, ';', {_shapes("s.links")},
        ';', if(match(parent, '^0+$'), toString(length(s.parent_span_id)), '')) AS Shape,
    arrayFilter(r -> r != '', arrayConcat(
        s.attributes.value.raw, resource_raw, scope.attributes.value.raw,
        arrayFlatten(s.events.attributes.value.raw), arrayFlatten(s.links.attributes.value.raw)
    )) AS Structured,
    now64(3) AS StoredAt
FROM
(
    SELECT ResourceAttributes, resource_shape, resource_raw, resource_dropped, EntityRefs, ResourceSchemaUrl,
        scoped.schema_url AS ScopeSchemaUrl, scoped.scope AS scope,
        {_texts("scoped.scope.attributes")} AS ScopeAttributes,
        s, lower(hex(s.parent_span_id)) AS parent,
        s.start_time_unix_nano AS starts, s.end_time_unix_nano AS ends
    FROM
    (
        SELECT
            {_texts("r.resource.attributes")} AS ResourceAttributes,
            {_shape("r.resource.attributes")} AS resource_shape,
            r.resource.attributes.value.raw AS resource_raw,
            r.resource.dropped_attributes_count AS resource_dropped,
            r.resource.entity_refs AS EntityRefs,
            r.schema_url AS ResourceSchemaUrl,
            r.scope_spans AS scope_spans
        FROM otlp_landing ARRAY JOIN resource_spans AS r
    )
    ARRAY JOIN scope_spans AS scoped
    ARRAY JOIN scoped.spans AS s
)"""  # noqa: S608 - our own text only


def statements() -> list[str]:
    """The landing table and its view, as they stand in the migration."""
    return [f"CREATE TABLE IF NOT EXISTS otlp_landing (resource_spans {_RESOURCES}) ENGINE = Null", _VIEW]


def schema() -> str:
    """landing.proto without what only people read: it travels in the address of every insert."""
    text = (resources.files(__package__) / "landing.proto").read_text("utf-8")
    return " ".join(line.strip() for line in text.splitlines() if line and not line.startswith("//"))
