-- What the trials of a decision count for (trials.decision_id): a head that moves by what no eval depends on
-- makes another decision of the same trials. Writer: gate.
ALTER TABLE decisions ADD COLUMN IF NOT EXISTS series String DEFAULT decision_id AFTER decision_id;
