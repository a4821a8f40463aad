-- Daily trials of what production runs, a row a day and stratum of evals: has the provider changed the model?
-- `evidence` are the values of the e-detectors after that day (gate/core/sentinel.py). Writer: gate.
CREATE TABLE IF NOT EXISTS sentinel_days
(
    agent LowCardinality(String),
    day Date,
    stratum LowCardinality(String),
    commit String,
    passed UInt32,
    trials UInt32,
    evidence Array(Float64),
    days UInt32,
    alarm Bool,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, stratum, day);
