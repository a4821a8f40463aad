-- Spans, with the OpenTelemetry Collector's column names for the core and typed columns for what we ask.
-- Writer: ingest. A span that comes twice (a redelivered record) is one row after merging: read with FINAL.
CREATE TABLE IF NOT EXISTS otel_traces
(
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    Duration UInt64 CODEC(T64, ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    `Events.Timestamp` Array(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    `Events.Name` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    `Events.Attributes` Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    AgentName LowCardinality(String),
    AgentVersion LowCardinality(String),
    SessionId String CODEC(ZSTD(1)),
    Operation LowCardinality(String),
    Provider LowCardinality(String),
    Model LowCardinality(String),
    ToolName LowCardinality(String),
    ToolArguments String CODEC(ZSTD(3)),
    ToolResult String CODEC(ZSTD(3)),
    Input String CODEC(ZSTD(3)),
    Output String CODEC(ZSTD(3)),
    InputTokens UInt64 CODEC(T64, ZSTD(1)),
    OutputTokens UInt64 CODEC(T64, ZSTD(1)),
    ErrorType LowCardinality(String),
    StoredAt DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    INDEX timestamps Timestamp TYPE minmax,
    INDEX stored StoredAt TYPE minmax
)
ENGINE = ReplacingMergeTree(StoredAt)
PARTITION BY toYYYYMM(Timestamp)
ORDER BY (TraceId, SpanId);
