-- What was shipped and what production shows of it, a row a release. The figures of before are frozen at the
-- first look: `before` has traces and failures of each measure (a mode's id, or a name of gate/core/watch.py),
-- `slow_ns` and `tokens_many` are what counts as slow and as costly, `detectors` and `evaluators` who judged,
-- `said_seconds` after a trace's begin evaluators have said what they say of it.
-- Those of after are of the last look that found them changed; of the mode's own, `traces` and `failures`.
-- Writer: gate.
CREATE TABLE IF NOT EXISTS releases
(
    decision_id String,
    agent LowCardinality(String),
    mode_id String,
    eval_id String,
    shipped_commit String,
    released_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    bar Float64,
    before Array(Tuple(name String, traces UInt64, failures UInt64)),
    slow_ns UInt64,
    tokens_many UInt64,
    said_seconds UInt32,
    detectors Array(String),
    evaluators Array(String),
    traces UInt64,
    failures UInt64,
    looked_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(looked_at)
ORDER BY (agent, decision_id);

-- What was proven of a release and what was done about it, each once. A row is written after its event is
-- out: what is here needs no repeat. Writer: gate.
CREATE TABLE IF NOT EXISTS release_findings
(
    decision_id String,
    agent LowCardinality(String),
    mode_id String,
    eval_id String,
    shipped_commit String,
    finding LowCardinality(String),
    subject String,
    reason String,
    traces UInt64,
    failures UInt64,
    rollback_commit String,
    found_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(found_at)
ORDER BY (agent, decision_id, finding);

-- Closed evals that are work for the loop again, and why. `cause` names what brought it, so that the same one
-- again is the same row. Written before its event: who takes the event finds the row. Writer: gate.
CREATE TABLE IF NOT EXISTS reopenings
(
    cause String,
    agent LowCardinality(String),
    eval_id String,
    mode_id String,
    commit String,
    reason String,
    passed UInt64,
    trials UInt64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, eval_id, cause);
