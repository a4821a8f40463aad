-- Held-out variants of evals, which the proposer is never shown. Writer: draft.
CREATE TABLE IF NOT EXISTS heldout
(
    eval_id String,
    content_sha256 String,
    number UInt16,
    variant_yaml String CODEC(ZSTD(3)),
    cassette_jsonl String CODEC(ZSTD(3)),
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (eval_id, content_sha256, number);
