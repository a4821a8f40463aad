-- Runs broken on purpose that are none of the mutants: healthy runs on such requests are so without being
-- broken, so that no eval need fail them. Writer: draft.
ALTER TABLE evals ADD COLUMN IF NOT EXISTS mutants_equivalent UInt32;
