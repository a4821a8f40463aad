-- The views that read judged_traces more than once, anew: they read it once. And a mode that no model has described
-- has a sentence of its own.
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
            groupArraySortedIf(5)((toUnixTimestamp64Milli(occurred_at), trace_id, span_id), failed) AS examples
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
    if(d.description != '', d.description, concat(m.title, ': ', toString(failures), ' of the traces of ', m.agent,
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
    multiIf(share >= 0.05, 'high', share >= 0.01, 'medium', 'low') AS severity,
    e.at AS escalated_at
FROM (SELECT * FROM modes FINAL) AS m
LEFT JOIN life AS s ON s.mode_id = m.mode_id
LEFT JOIN muting AS u ON u.mode_id = m.mode_id
LEFT JOIN seen AS f ON f.agent = m.agent AND f.mode_id = m.mode_id
LEFT JOIN escalated AS e ON e.mode_id = m.mode_id
LEFT JOIN described AS d ON d.mode_id = m.mode_id;

CREATE OR REPLACE VIEW mode_trends AS
SELECT
    c.day AS day, c.agent AS agent, c.mode_id AS mode_id, m.title AS title, c.failures AS failures,
    c.traces AS traces, round(c.failures / c.traces, 4) AS share
FROM
(
    SELECT
        day, agent, if(failed, toString(mode_id), '') AS mode_id, count() AS failures,
        sum(failures) OVER (PARTITION BY day, agent) AS traces
    FROM judged_traces FINAL GROUP BY day, agent, mode_id
) AS c
LEFT JOIN (SELECT mode_id, title FROM modes FINAL) AS m ON m.mode_id = c.mode_id
WHERE c.mode_id != '';

CREATE OR REPLACE VIEW before_after AS
WITH toDateTime64({at:String}, 3, 'UTC') AS moment
SELECT
    p.mode_id AS mode_id, m.title AS title, p.before AS failures_before, p.all_before AS traces_before,
    p.after AS failures_after, p.all_after AS traces_after,
    round(p.before / greatest(1, p.all_before), 4) AS rate_before,
    round(p.after / greatest(1, p.all_after), 4) AS rate_after
FROM
(
    SELECT
        mode_id, sum(b) AS before, sum(a) AS after,
        sumIf(before, mode_id IN ('', '-')) OVER () AS all_before,
        sumIf(after, mode_id IN ('', '-')) OVER () AS all_after
    FROM
    (   -- A failure counts for its mode and for all failures, '' ; '-' are the others.
        SELECT arrayJoin(if(failed, [toString(home), ''], ['-'])) AS mode_id, b, a
        FROM
        (
            SELECT failed, mode_id AS home, countIf(occurred_at < moment) AS b, countIf(occurred_at >= moment) AS a
            FROM judged_traces FINAL
            WHERE agent = {agent:String}
              AND day BETWEEN toDate(moment) - {days:UInt16} AND toDate(moment) + {days:UInt16}
              AND occurred_at >= moment - toIntervalDay({days:UInt16})
              AND occurred_at < moment + toIntervalDay({days:UInt16})
            GROUP BY failed, home
        )
    )
    GROUP BY mode_id
) AS p
LEFT JOIN (SELECT mode_id, title FROM modes FINAL) AS m ON m.mode_id = p.mode_id
WHERE p.mode_id != '-';
