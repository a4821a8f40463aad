-- Evals and how far they are; `step` orders drafted < rejected < accepted. Writer: draft.
CREATE TABLE IF NOT EXISTS evals
(
    eval_id String,
    agent LowCardinality(String),
    mode_id String,
    title String,
    state LowCardinality(String),
    step UInt8,
    eval_yaml String CODEC(ZSTD(3)),
    cassette_jsonl String CODEC(ZSTD(3)),
    content_sha256 String,
    failing_caught UInt32,
    failing UInt32,
    healthy_passed UInt32,
    healthy UInt32,
    reviewer String,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(step)
ORDER BY (agent, eval_id);
