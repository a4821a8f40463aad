-- How many tool calls a trial made, beside those that its recording did not hold; and what graded it. Writer: gate.
ALTER TABLE trials ADD COLUMN IF NOT EXISTS tool_calls UInt32 DEFAULT 0;
ALTER TABLE trials ADD COLUMN IF NOT EXISTS grader UInt16 DEFAULT 0;

-- An eval's fidelity: of the tool calls of its trials, the share that its recording held.
CREATE OR REPLACE VIEW eval_fidelity AS
SELECT
    agent,
    eval_id,
    variant,
    count() AS trials,
    sum(tool_calls) AS calls,
    sum(divergences) AS diverged,
    if(calls = 0, 1., 1 - diverged / calls) AS fidelity,
    countIf(divergences > 0) AS trials_that_diverged
FROM trials FINAL
WHERE grader > 0
GROUP BY agent, eval_id, variant;
