-- The gate's verdicts, whole. A row is written after its event is out: what is here needs no repeat.
-- Writer: gate.
CREATE TABLE IF NOT EXISTS decisions
(
    decision_id String,
    agent LowCardinality(String),
    change_id String,
    mode_id String,
    eval_id String,
    verdict LowCardinality(String),
    obstacle LowCardinality(String),
    reason String,
    outcomes Array(Tuple(eval_id String, title String, trials UInt32, passed UInt32, held Bool,
                         reasons Array(String), divergences UInt32)),
    base_commit String,
    candidate_commit String,
    suite_commit String,
    shipped_commit String,
    certificate_sha256 String,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, change_id, decision_id);

-- Every trial that ran. Writer: gate.
CREATE TABLE IF NOT EXISTS trials
(
    trial_id String,
    decision_id String,
    agent LowCardinality(String),
    eval_id String,
    number UInt32,
    passed Bool,
    reasons Array(String),
    answer String CODEC(ZSTD(3)),
    model_calls UInt32,
    models Array(String),
    input_tokens UInt64,
    output_tokens UInt64,
    divergences UInt32,
    seconds Float64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (decision_id, eval_id, number);
