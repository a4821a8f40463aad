-- Attempts at evals. `state` is failed (the session brought no patch; diagnosis says why), or written, then
-- proposed (its event is out), or abandoned (the eval was given up); `step` orders them. Writer: propose.
CREATE TABLE IF NOT EXISTS changes
(
    change_id String,
    agent LowCardinality(String),
    mode_id String,
    eval_id String,
    attempt UInt32,
    state LowCardinality(String),
    step UInt8,
    base_commit String,
    patch String CODEC(ZSTD(3)),
    diagnosis String,
    model LowCardinality(String),
    usd Float64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(step)
ORDER BY (agent, eval_id, attempt, change_id);

-- The transcript of the harness, a row a step, written when the model has answered and again when its tools
-- have. A session that is begun again has a new session_id, so all that was paid for stays. Writer: propose.
CREATE TABLE IF NOT EXISTS harness_steps
(
    agent LowCardinality(String),
    change_id String,
    session_id String,
    step UInt32,
    stop_reason LowCardinality(String),
    content String CODEC(ZSTD(3)),
    results String CODEC(ZSTD(3)),
    input_tokens UInt64,
    output_tokens UInt64,
    usd Float64,
    seconds Float64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, change_id, session_id, step);
