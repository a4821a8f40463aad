-- What people and other systems said of a trace. Writer: ingest.
CREATE TABLE IF NOT EXISTS evaluations
(
    trace_id String,
    span_id String,
    name LowCardinality(String),
    source LowCardinality(String),
    label LowCardinality(String),
    score Nullable(Float64),
    bad Bool,
    explanation String,
    evaluated_at DateTime64(9, 'UTC'),
    stored_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (trace_id, span_id, name, source);

-- When a trace was handed to triage, and how far what was stored then reached. Writer: ingest.
CREATE TABLE IF NOT EXISTS settlements
(
    trace_id String,
    revision String,
    agent LowCardinality(String),
    spans UInt32,
    through DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(through)
ORDER BY (trace_id, revision);
