-- For analysts: see README, "Ask the data". Those in the form name(agent = …) take parameters, so that only that
-- agent is read. All are plain views.
CREATE OR REPLACE VIEW failures AS
SELECT * FROM verdicts FINAL WHERE failed;

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
    failing AS
    (
        SELECT
            mode_id, count() AS failures, min(occurred_at) AS first_seen, max(occurred_at) AS last_seen,
            arraySort(groupUniqArray(agent_version)) AS versions,
            arraySort(arrayFilter(m -> m != '', groupUniqArray(model))) AS models,
            groupArraySorted(5)((toUnixTimestamp64Milli(occurred_at), trace_id, span_id)) AS examples,
            countIf(day > toDate(week.last) - 7) AS failures_of_week
        FROM judged_traces FINAL
        LEFT JOIN (SELECT agent, max(day) AS last FROM judged_traces GROUP BY agent) AS week USING (agent)
        WHERE failed
        GROUP BY mode_id
    ),
    traffic AS
    (
        SELECT agent, countIf(day > toDate(week.last) - 7) AS traces_of_week
        FROM judged_traces FINAL
        LEFT JOIN (SELECT agent, max(day) AS last FROM judged_traces GROUP BY agent) AS week USING (agent)
        GROUP BY agent
    ),
    escalated AS (SELECT mode_id, max(at) AS at FROM mode_escalations GROUP BY mode_id),
    described AS (SELECT mode_id, name, description FROM mode_descriptions FINAL)
SELECT
    m.agent AS agent,
    m.mode_id AS mode_id,
    if(d.name = '', m.title, d.name) AS title,
    d.description AS description,
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
    round(f.failures_of_week / greatest(1, t.traces_of_week), 4) AS share,
    multiIf(share >= 0.05, 'high', share >= 0.01, 'medium', 'low') AS severity,
    e.at AS escalated_at
FROM (SELECT * FROM modes FINAL) AS m
LEFT JOIN life AS s ON s.mode_id = m.mode_id
LEFT JOIN muting AS u ON u.mode_id = m.mode_id
LEFT JOIN failing AS f ON f.mode_id = m.mode_id
LEFT JOIN traffic AS t ON t.agent = m.agent
LEFT JOIN escalated AS e ON e.mode_id = m.mode_id
LEFT JOIN described AS d ON d.mode_id = m.mode_id;

-- By day: what share of an agent's traces failed, by version and model.
CREATE VIEW IF NOT EXISTS agent_trends AS
SELECT
    day, agent, agent_version, model, count() AS traces, countIf(failed) AS failures,
    round(failures / traces, 4) AS rate
FROM judged_traces FINAL
GROUP BY day, agent, agent_version, model;

-- By day: how many traces failed in each mode, and what share of all of the agent's that is.
CREATE VIEW IF NOT EXISTS mode_trends AS
SELECT
    c.day AS day, c.agent AS agent, c.mode_id AS mode_id, m.title AS title, c.failures AS failures,
    t.traces AS traces, round(c.failures / t.traces, 4) AS share
FROM
(
    SELECT day, agent, toString(mode_id) AS mode_id, count() AS failures
    FROM judged_traces FINAL WHERE failed GROUP BY day, agent, mode_id
) AS c
INNER JOIN (SELECT day, agent, count() AS traces FROM judged_traces FINAL GROUP BY day, agent) AS t
    ON t.day = c.day AND t.agent = c.agent
LEFT JOIN (SELECT mode_id, title FROM modes FINAL) AS m ON m.mode_id = c.mode_id;

-- By day and tool: traces that called it, how many of those failed, and how many failed at it.
CREATE VIEW IF NOT EXISTS tool_trends AS
SELECT
    day, agent, arrayJoin(tools) AS called, count() AS traces, countIf(failed) AS failures,
    countIf(failed AND tool = called) AS failed_there, round(failed_there / traces, 4) AS rate
FROM judged_traces FINAL
GROUP BY day, agent, called;

-- What changed at a moment, such as a release: the share of each mode ("": of all failures) among the traces of
-- so many days before and after.
CREATE VIEW IF NOT EXISTS before_after AS
WITH
    toDateTime64({at:String}, 3, 'UTC') AS moment,
    parts AS
    (
        SELECT
            if(failed, toString(mode_id), '-') AS mode_id,
            countIf(occurred_at < moment) AS before, countIf(occurred_at >= moment) AS after
        FROM judged_traces FINAL
        WHERE agent = {agent:String}
          AND day BETWEEN toDate(moment) - {days:UInt16} AND toDate(moment) + {days:UInt16}
          AND occurred_at >= moment - toIntervalDay({days:UInt16})
          AND occurred_at < moment + toIntervalDay({days:UInt16})
        GROUP BY mode_id
    ),
    (SELECT (sum(before), sum(after)) FROM parts) AS traces
SELECT
    p.mode_id AS mode_id, m.title AS title, p.before AS failures_before, traces.1 AS traces_before,
    p.after AS failures_after, traces.2 AS traces_after,
    round(p.before / greatest(1, traces.1), 4) AS rate_before,
    round(p.after / greatest(1, traces.2), 4) AS rate_after
FROM
(
    SELECT mode_id, before, after FROM parts WHERE mode_id != '-'
    UNION ALL SELECT '', sum(before), sum(after) FROM parts WHERE mode_id != '-'
) AS p
LEFT JOIN (SELECT mode_id, title FROM modes FINAL) AS m ON m.mode_id = p.mode_id;

-- By week: how often a detector was right, by labels that people gave after it had spoken. `precision`: of what it
-- called a failure; `recall`: of what people call one. Who labels what triage shows does not label at random.
CREATE VIEW IF NOT EXISTS detector_precision AS
SELECT
    toMonday(labelled_at) AS week, agent, detector, count() AS labels,
    countIf(detected) AS called, countIf(detected AND NOT good) AS right,
    countIf(NOT detected AND NOT good) AS missed,
    if(called = 0, NULL, round(right / called, 4)) AS precision,
    if(right + missed = 0, NULL, round(right / (right + missed), 4)) AS recall
FROM labels FINAL
WHERE detector != ''
GROUP BY week, agent, detector;

-- What failures cost: tokens and dollars of the traces of a mode ("": of those that did not fail), by day.
CREATE VIEW IF NOT EXISTS failure_costs AS
SELECT
    c.day AS day, c.agent AS agent, c.mode_id AS mode_id, m.title AS title, c.traces AS traces,
    c.input_tokens AS input_tokens, c.output_tokens AS output_tokens, c.usd AS usd,
    c.unpriced_tokens AS unpriced_tokens, c.seconds AS seconds
FROM
(
    SELECT
        day, agent, toString(mode_id) AS mode_id, count() AS traces, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, sum(usd) AS usd, sum(unpriced_tokens) AS unpriced_tokens,
        sum(seconds) AS seconds
    FROM judged_traces FINAL GROUP BY day, agent, mode_id
) AS c
LEFT JOIN (SELECT mode_id, title FROM modes FINAL) AS m ON m.mode_id = c.mode_id;

-- How far evaluators and judging models agree with people, on the traces that both have spoken of.
CREATE VIEW IF NOT EXISTS agreement AS
WITH people AS
(
    SELECT agent, trace_id, argMax(good, labelled_at) AS good FROM labels FINAL GROUP BY agent, trace_id
)
SELECT
    p.agent AS agent, o.source AS source, o.name AS name, count() AS both, countIf(o.good = p.good) AS agreed,
    countIf(NOT o.good) AS said_bad, countIf(NOT o.good AND NOT p.good) AS rightly_bad,
    round(agreed / both, 4) AS agreement
FROM people AS p
INNER JOIN
(
    SELECT trace_id, 'evaluator' AS source, if(name = '', source, name) AS name, NOT bad AS good
    FROM evaluations FINAL
    UNION ALL
    SELECT trace_id, 'judge', model, said = 'good' FROM judge_opinions FINAL WHERE said IN ('good', 'bad')
) AS o ON o.trace_id = p.trace_id
GROUP BY agent, source, name;
