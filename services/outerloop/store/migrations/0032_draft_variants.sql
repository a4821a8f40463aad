-- How many held-out variants an eval has, which the proposer is never shown. Writer: draft.
ALTER TABLE evals ADD COLUMN IF NOT EXISTS variants UInt16;
