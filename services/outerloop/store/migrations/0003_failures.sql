-- One row a judged trace, good or bad; judged again, the newer verdict replaces the older, also where the
-- trace has changed its agent because its root came late. Writer: triage.
CREATE TABLE IF NOT EXISTS verdicts
(
    agent LowCardinality(String),
    agent_version LowCardinality(String),
    trace_id String,
    failed Bool,
    mode_id String,
    span_id String,
    signals Array(Tuple(kind String, subject String, detail String, span_id String)),
    detector LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    judged_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(judged_at)
ORDER BY trace_id;

-- What a failure mode is; the id follows from agent and fingerprint. Writer: triage.
CREATE TABLE IF NOT EXISTS modes
(
    mode_id String,
    agent LowCardinality(String),
    title String,
    fingerprint String,
    kind LowCardinality(String),
    opened_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(opened_at)
ORDER BY (agent, mode_id);

-- The life of a mode, a row a step; the same cause twice is one row. `at` is when it happened, not when it
-- was taken from Kafka, as the topics that tell of it keep no order between them. Writer: triage.
CREATE TABLE IF NOT EXISTS mode_states
(
    mode_id String,
    state LowCardinality(String),
    cause String,
    detail String,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (mode_id, state, cause);
