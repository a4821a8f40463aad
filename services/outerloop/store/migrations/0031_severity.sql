-- What a mode is in a sentence, and how grave its kind is (low, medium, high, critical), both by a template. Empty for
-- modes that were first seen before. Writer: triage.
ALTER TABLE modes
    ADD COLUMN IF NOT EXISTS description String AFTER opened_at,
    ADD COLUMN IF NOT EXISTS gravity LowCardinality(String) AFTER description;

-- Traces that took longer, used more tokens or cost more than is usual for their agent, and the span that shows it:
-- `value` beside the `usual` one (the median of the agent's newest traces as the trace was judged), in seconds, tokens
-- or dollars. An outlier fails no trace; failures that are outliers make their mode graver. Writer: triage.
CREATE TABLE IF NOT EXISTS trace_outliers
(
    agent LowCardinality(String),
    day Date,
    trace_id String,
    kind LowCardinality(String),
    subject String,
    span_id String,
    value Float64,
    usual Float64,
    judged_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(judged_at)
ORDER BY (agent, day, trace_id, kind);

-- The modes, as before, and in their severity: how grave the kind is; a step up where it takes 5 % of the week's
-- traffic, has risen within a day (`rising`), or where half of its failures are `unusual`, that is outliers; a step
-- down below 1 % of the traffic, but for what is critical.
CREATE OR REPLACE VIEW failure_modes AS
WITH
    muting AS
    (
        SELECT mode_id, argMax(state, at) = 'muted' AS muted, argMax(detail, at) AS detail
        FROM (SELECT * FROM mode_states FINAL) WHERE state IN ('muted', 'unmuted') GROUP BY mode_id
    ),
    life AS
    (
        SELECT t.mode_id AS mode_id, argMax((t.state, t.detail), (t.at, -- of two at once, what comes last in a life
            indexOf(['open', 'drafting', 'proposed', 'parked', 'closed', 'regressed', 'merged'], t.state))) AS latest
        FROM mode_states AS t FINAL WHERE t.state NOT IN ('muted', 'unmuted') GROUP BY t.mode_id
    ),
    daily AS
    (
        SELECT
            agent, if(failed, toString(mode_id), '') AS mode_id, day, count() AS traces,
            min(occurred_at) AS first_seen, max(occurred_at) AS last_seen,
            groupUniqArrayIf(agent_version, failed) AS versions, groupUniqArrayIf(model, failed) AS models,
            groupArraySortedIf(5)((toUnixTimestamp64Milli(occurred_at), trace_id, span_id), failed) AS examples,
            countIf(failed AND trace_id IN (SELECT trace_id FROM trace_outliers)) AS unusual
        FROM judged_traces FINAL
        GROUP BY agent, mode_id, day
    ),
    seen AS
    (
        SELECT
            agent, mode_id, sum(traces) AS failures, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
            arraySort(arrayDistinct(arrayFlatten(groupArray(versions)))) AS versions,
            arrayFilter(m -> m != '', arraySort(arrayDistinct(arrayFlatten(groupArray(models))))) AS models,
            arraySlice(arraySort(arrayFlatten(groupArray(examples))), 1, 5) AS examples,
            sum(unusual) AS unusual_failures,
            sumIf(traces, day > last_day - 7) AS of_week, sum(of_week) OVER (PARTITION BY agent) AS traces_of_week
        FROM (SELECT *, max(day) OVER (PARTITION BY agent) AS last_day FROM daily)
        GROUP BY agent, mode_id
    ),
    escalated AS (SELECT mode_id, max(at) AS at FROM mode_escalations GROUP BY mode_id),
    described AS (SELECT mode_id, name, description FROM mode_descriptions FINAL)
SELECT
    m.agent AS agent,
    m.mode_id AS mode_id,
    if(d.name = '', m.title, d.name) AS title,
    multiIf(d.description != '', d.description, m.description != '', m.description, concat(m.title, ': ', toString(failures), ' of the traces of ', m.agent,
        if(failures = 0, '', concat(', the last on ', toString(toDate(last_seen)))), '.')) AS description,
    multiIf(u.muted, 'muted', s.latest.1 = '', 'emerging', s.latest.1) AS state,
    ifNull(f.failures, 0) AS failures,
    f.first_seen AS first_seen,
    f.last_seen AS last_seen,
    f.versions AS versions,
    arrayMap(e -> e.2, f.examples) AS examples,
    m.opened_at AS opened_at,
    if(u.muted, u.detail, s.latest.2) AS detail,
    m.kind AS kind,
    f.models AS models,
    arrayMap(e -> e.3, f.examples) AS example_spans,
    round(f.of_week / greatest(1, f.traces_of_week), 4) AS share,
    ['low', 'medium', 'high', 'critical'][multiIf(
        share >= 0.05 OR rising OR (f.unusual_failures > 0 AND 2 * f.unusual_failures >= f.failures),
        least(4, gravity + 1), share < 0.01 AND gravity < 4, greatest(1, gravity - 1), gravity)] AS severity,
    e.at AS escalated_at,
    e.at > now64(3) - toIntervalDay(1) AS rising,
    ifNull(f.unusual_failures, 0) AS unusual,
    if(m.gravity = '', 2, indexOf(['low', 'medium', 'high', 'critical'], m.gravity)) AS gravity
FROM (SELECT * FROM modes FINAL) AS m
LEFT JOIN life AS s ON s.mode_id = m.mode_id
LEFT JOIN muting AS u ON u.mode_id = m.mode_id
LEFT JOIN seen AS f ON f.agent = m.agent AND f.mode_id = m.mode_id
LEFT JOIN escalated AS e ON e.mode_id = m.mode_id
LEFT JOIN described AS d ON d.mode_id = m.mode_id;
