-- What was learned for later attempts, from a rejected change or from a person. `words` are what it is about:
-- tools, files and telling words. `step`: the last word on a lesson counts. Writer: propose.
CREATE TABLE IF NOT EXISTS lessons
(
    lesson_id String,
    agent LowCardinality(String),
    mode_id String,
    change_id String,
    origin LowCardinality(String),
    text String,
    words Array(String),
    state LowCardinality(String),
    by String,
    reason String,
    learned_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, lesson_id);

-- Which lessons an attempt was told. What became of it is in decisions. Writer: propose.
CREATE TABLE IF NOT EXISTS lesson_uses
(
    agent LowCardinality(String),
    change_id String,
    lesson_id String,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (agent, change_id, lesson_id);
