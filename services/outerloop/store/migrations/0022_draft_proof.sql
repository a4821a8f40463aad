-- What a draft was proven by, what became of it, and what it cost. Writer: draft.
ALTER TABLE evals ADD COLUMN IF NOT EXISTS drafter LowCardinality(String);
ALTER TABLE evals ADD COLUMN IF NOT EXISTS tries UInt8;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS signal_kind LowCardinality(String);
ALTER TABLE evals ADD COLUMN IF NOT EXISTS signal_subject String;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS span_id String;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS reason String;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS linked_eval String;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS similar UInt32;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS traffic UInt32;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS mutants_killed UInt32;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS mutants UInt32;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS survivors Array(String);
ALTER TABLE evals ADD COLUMN IF NOT EXISTS reproduction LowCardinality(String) DEFAULT 'unasked';
ALTER TABLE evals ADD COLUMN IF NOT EXISTS base_commit String;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS base_passed UInt32;
ALTER TABLE evals ADD COLUMN IF NOT EXISTS base_trials UInt32;
-- Of what it fails, the share that was judged bad; of what was judged bad, the share that it fails; of the
-- runs that were broken on purpose, the share that it fails; of good runs, the share that it is expected to
-- fail (Jeffreys' estimate).
ALTER TABLE evals ADD COLUMN IF NOT EXISTS precision Float64
    ALIAS if(failing_caught = 0, 0, failing_caught / (failing_caught + healthy - healthy_passed));
ALTER TABLE evals ADD COLUMN IF NOT EXISTS recall Float64 ALIAS if(failing = 0, 0, failing_caught / failing);
ALTER TABLE evals ADD COLUMN IF NOT EXISTS mutation_score Float64
    ALIAS if(mutants = 0, 0, mutants_killed / mutants);
ALTER TABLE evals ADD COLUMN IF NOT EXISTS flake_rate Float64
    ALIAS (healthy - healthy_passed + 0.5) / (healthy + 1);

-- One row a thing that was paid for while an eval was drafted, whatever came of it: a call of the model that
-- drafts, or the trials of the base. `outcome` says what came of it. Writer: draft.
CREATE TABLE IF NOT EXISTS draft_calls
(
    call_id String,
    agent LowCardinality(String),
    mode_id String,
    eval_id String,
    what LowCardinality(String),
    model LowCardinality(String),
    prompt LowCardinality(String),
    input_tokens UInt64,
    output_tokens UInt64,
    usd Float64,
    seconds Float64,
    outcome String,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, call_id);
