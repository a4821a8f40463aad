-- What a trace cost and what it went through, beside its verdict. `detected` is what the detector said by itself,
-- before a person's label; `model` is the one that was asked last, `tool` that of the offending span, `tools` all
-- that were called. usd covers tokens of models with a known price; unpriced_tokens are the others.
-- Writer: triage.
ALTER TABLE verdicts
    ADD COLUMN IF NOT EXISTS detected Bool DEFAULT failed AFTER failed,
    ADD COLUMN IF NOT EXISTS score Float64 DEFAULT if(failed, 1, 0) AFTER detected,
    ADD COLUMN IF NOT EXISTS model LowCardinality(String) AFTER detector,
    ADD COLUMN IF NOT EXISTS tool LowCardinality(String) AFTER model,
    ADD COLUMN IF NOT EXISTS tools Array(LowCardinality(String)) AFTER tool,
    ADD COLUMN IF NOT EXISTS spans UInt32 AFTER tools,
    ADD COLUMN IF NOT EXISTS seconds Float64 AFTER spans,
    ADD COLUMN IF NOT EXISTS input_tokens UInt64 AFTER seconds,
    ADD COLUMN IF NOT EXISTS output_tokens UInt64 AFTER input_tokens,
    ADD COLUMN IF NOT EXISTS usd Float64 AFTER output_tokens,
    ADD COLUMN IF NOT EXISTS unpriced_tokens UInt64 AFTER usd;

-- The same verdicts by agent and day, for whoever counts them: a question about some days of some agent reads
-- those alone. A trace that is judged again replaces itself; one that has changed its agent or its day, because
-- its root came late, leaves a row behind that triage marks as gone. Writer: triage.
CREATE TABLE IF NOT EXISTS judged_traces
(
    agent LowCardinality(String),
    day Date,
    trace_id String,
    occurred_at DateTime64(3, 'UTC'),
    agent_version LowCardinality(String),
    model LowCardinality(String),
    failed Bool,
    detected Bool,
    score Float64,
    mode_id LowCardinality(String),
    kind LowCardinality(String),
    tool LowCardinality(String),
    span_id String,
    tools Array(LowCardinality(String)),
    detector LowCardinality(String),
    spans UInt32,
    seconds Float64,
    input_tokens UInt64,
    output_tokens UInt64,
    usd Float64,
    unpriced_tokens UInt64,
    judged_at DateTime64(3, 'UTC'),
    gone UInt8,
    INDEX traces trace_id TYPE bloom_filter(0.01)
)
ENGINE = ReplacingMergeTree(judged_at, gone)
PARTITION BY toYYYYMM(day)
ORDER BY (agent, day, trace_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS judged_traces_of_verdicts TO judged_traces AS
SELECT
    agent, toDate(occurred_at) AS day, trace_id, occurred_at, agent_version, model, failed, detected, score, mode_id,
    if(empty(signals), '', signals[1].kind) AS kind, tool, span_id, tools, detector, spans, seconds, input_tokens,
    output_tokens, usd, unpriced_tokens, judged_at, 0 AS gone
FROM verdicts;

INSERT INTO judged_traces
SELECT
    agent, toDate(occurred_at) AS day, trace_id, occurred_at, agent_version, model, failed, detected, score, mode_id,
    if(empty(signals), '', signals[1].kind) AS kind, tool, span_id, tools, detector, spans, seconds, input_tokens,
    output_tokens, usd, unpriced_tokens, judged_at, 0 AS gone
FROM verdicts FINAL;
