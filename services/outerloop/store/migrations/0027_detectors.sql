-- What was learned, measured: of `labels` left-out traces (`good` of them good, `by_people` labelled by people) the
-- detector `called` so many failures, `right` of them were, and it `missed` others; the same of all rules on the same
-- traces. `ready`: there were labels enough to learn more than which rules to believe. `detector` is its name in
-- verdicts: that of the rules, where it calls failures what they do. Writer: triage.
ALTER TABLE detectors
    ADD COLUMN IF NOT EXISTS detector String AFTER version,
    ADD COLUMN IF NOT EXISTS ready Bool AFTER state,
    ADD COLUMN IF NOT EXISTS good UInt32 AFTER labels,
    ADD COLUMN IF NOT EXISTS by_people UInt32 AFTER good,
    ADD COLUMN IF NOT EXISTS called UInt32 AFTER by_people,
    ADD COLUMN IF NOT EXISTS right UInt32 AFTER called,
    ADD COLUMN IF NOT EXISTS missed UInt32 AFTER right,
    ADD COLUMN IF NOT EXISTS rules_called UInt32 AFTER missed,
    ADD COLUMN IF NOT EXISTS rules_right UInt32 AFTER rules_called,
    ADD COLUMN IF NOT EXISTS rules_missed UInt32 AFTER rules_right;

-- Which detector judges an agent's traces, and why: of the rows that are `adopted` the last one by `decided_at`.
-- The others were measured and not adopted. version "rules": the rules alone. Writer: triage.
CREATE TABLE IF NOT EXISTS detector_decisions
(
    agent LowCardinality(String),
    decision_id String,
    version String,
    adopted Bool,
    decided_by String,
    reason String,
    decided_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(decided_at)
ORDER BY (agent, decision_id);

-- What other detectors than `detector` made of the same trace: those that a watched release is measured by, and
-- the rules. mode_id is "" where it is no failure; detail is the most telling sign's. Writer: triage.
ALTER TABLE verdicts
    ADD COLUMN IF NOT EXISTS beside Array(Tuple(detector String, mode_id String, detail String)) AFTER detector;

-- Every detector that was learned, what it was measured at, and since when it was in use, if ever.
CREATE VIEW IF NOT EXISTS detector_history AS
SELECT
    d.agent AS agent, d.version AS version, d.learned_at AS learned_at, d.labels AS labels, d.good AS good,
    d.ready AS ready, if(d.called = 0, NULL, round(d.right / d.called, 4)) AS precision,
    if(d.right + d.missed = 0, NULL, round(d.right / (d.right + d.missed), 4)) AS recall,
    if(d.rules_called = 0, NULL, round(d.rules_right / d.rules_called, 4)) AS rules_precision,
    if(d.rules_right + d.rules_missed = 0, NULL, round(d.rules_right / (d.rules_right + d.rules_missed), 4))
        AS rules_recall,
    if(c.adoptions = 0, NULL, c.first_adopted) AS adopted_at, c.decided_by AS decided_by, c.reason AS reason
FROM (SELECT * FROM detectors FINAL) AS d
LEFT JOIN
(
    SELECT
        agent, version, countIf(adopted) AS adoptions, minIf(decided_at, adopted) AS first_adopted,
        argMax(decided_by, decided_at) AS decided_by, argMax(reason, decided_at) AS reason
    FROM detector_decisions FINAL GROUP BY agent, version
) AS c ON c.agent = d.agent AND c.version = d.version;
