-- What people said of traces: by `source` person (outerloop label) or review (a verdict on an eval speaks of the
-- traces that it was drafted from). Who labels again replaces the own label. The last columns are what triage
-- had said of the trace before, whom its precision is measured by. Writer: triage.
CREATE TABLE IF NOT EXISTS labels
(
    agent LowCardinality(String),
    trace_id String,
    source LowCardinality(String),
    labelled_by String,
    good Bool,
    why String,
    labelled_at DateTime64(3, 'UTC'),
    detector LowCardinality(String),
    detected Bool,
    score Float64
)
ENGINE = ReplacingMergeTree(labelled_at)
ORDER BY (agent, trace_id, source, labelled_by);

-- What was learned for an agent from its labels; `version` names the rules and the labels that it has seen, so
-- that who learns the same writes the same row. Can be made again from the labels at any time. Writer: triage.
CREATE TABLE IF NOT EXISTS detectors
(
    agent LowCardinality(String),
    version String,
    state String CODEC(ZSTD(3)),
    labels UInt32,
    learned_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(learned_at)
ORDER BY (agent, version);

-- What people ruled of modes, in order of `ruled_at`. merge: failures of mode_id are those of into_mode_id; split:
-- those whose most telling sign contains the text are. Modes change in no other way. Writer: triage.
CREATE TABLE IF NOT EXISTS mode_rulings
(
    agent LowCardinality(String),
    ruling_id String,
    mode_id String,
    ruling LowCardinality(String),
    into_mode_id String,
    containing String,
    title String,
    why String,
    ruled_by String,
    ruled_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ruled_at)
ORDER BY (agent, ruling_id);

-- When a mode's share of the traffic rose beyond chance; at most a row a day and mode. Writer: triage.
CREATE TABLE IF NOT EXISTS mode_escalations
(
    agent LowCardinality(String),
    mode_id String,
    day Date,
    hours UInt32,
    traces_before UInt64,
    failures_before UInt64,
    traces_now UInt64,
    failures_now UInt64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, mode_id, day);

-- A name and a sentence for a mode by a model, where there is one. Writer: triage.
CREATE TABLE IF NOT EXISTS mode_descriptions
(
    agent LowCardinality(String),
    mode_id String,
    name String,
    description String,
    model LowCardinality(String),
    usd Float64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, mode_id);

-- What a model said of traces as a judge, and what it cost; `said` is good, bad, or nothing where its answer was
-- of no use. Writer: triage.
CREATE TABLE IF NOT EXISTS judge_opinions
(
    agent LowCardinality(String),
    trace_id String,
    said LowCardinality(String),
    cause String,
    reason String,
    span_id String,
    model LowCardinality(String),
    prompt LowCardinality(String),
    input_tokens UInt64,
    output_tokens UInt64,
    usd Float64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, trace_id, model, prompt);
