-- What is on trial (candidate or base), and which held-out variant of the eval was drawn (0: the eval itself).
-- decision_id is the series that a trial counts for: a decision's id, or for a base that of a question about
-- it, such as whether it fails the new eval. Writer: gate.
ALTER TABLE trials
    ADD COLUMN IF NOT EXISTS subject LowCardinality(String) DEFAULT 'candidate' AFTER decision_id,
    ADD COLUMN IF NOT EXISTS variant UInt32 AFTER number;

-- The claims of a decision as they stood at the verdict (logarithms of e-values: see gate/core/claim.py), the
-- level at which each was tested, and the index of the error ledger that the level comes from (0: none).
ALTER TABLE decisions
    ADD COLUMN IF NOT EXISTS claims Array(Tuple(kind String, name String, state String, bar Float64,
        passed UInt32, trials UInt32, log_e_above Float64, log_e_below Float64)) AFTER outcomes,
    ADD COLUMN IF NOT EXISTS alpha Float64 AFTER claims,
    ADD COLUMN IF NOT EXISTS ledger_index UInt32 AFTER alpha;

-- Two workers may run the same trial at once, while Kafka moves partitions: the first row that is stored with
-- a trial's token stays (see store/trials.py). Replicated tables have such a window by default.
ALTER TABLE trials MODIFY SETTING non_replicated_deduplication_window = 10000;
