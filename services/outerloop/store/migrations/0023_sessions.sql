-- What a session of the harness was begun with, and how it ended; `state` is open, then ended. A session that
-- is open goes on from its last step (harness_steps), in whichever process has the agent. `told` is the first
-- message; `outcome` is JSON (see propose/memory.py), "" while it is open. Writer: propose.
CREATE TABLE IF NOT EXISTS harness_sessions
(
    session_id String,
    agent LowCardinality(String),
    change_id String,
    mode_id String,
    eval_id String,
    attempt UInt32,
    candidate UInt32,
    strategy LowCardinality(String),
    state LowCardinality(String),
    step UInt8,
    base_commit String,
    model LowCardinality(String),
    told String CODEC(ZSTD(3)),
    outcome String CODEC(ZSTD(3)),
    began_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(step)
ORDER BY (agent, change_id, session_id);

-- A step is asked (its call is being made, and usd is the most that it can cost), then answered (paid for),
-- then done (its tools have answered too). `epoch` says which process made the call: nanoseconds since 1970
-- when it took the session up. What two processes do at once so stands side by side, and is paid for once each.
ALTER TABLE harness_steps
    ADD COLUMN IF NOT EXISTS epoch UInt64 AFTER step,
    ADD COLUMN IF NOT EXISTS state LowCardinality(String) DEFAULT 'done' AFTER epoch,
    ADD COLUMN IF NOT EXISTS cache_read_tokens UInt64 AFTER output_tokens,
    ADD COLUMN IF NOT EXISTS cache_write_tokens UInt64 AFTER cache_read_tokens,
    MODIFY ORDER BY (agent, change_id, session_id, step, epoch);
