-- For people: no FINAL and no tuples to remember. Plain views, so they cost nothing until asked.
CREATE VIEW IF NOT EXISTS failures AS
SELECT * FROM verdicts FINAL WHERE failed;

CREATE VIEW IF NOT EXISTS failure_modes AS
SELECT
    m.agent AS agent,
    m.mode_id AS mode_id,
    m.title AS title,
    if(s.latest.1 = '', 'emerging', s.latest.1) AS state,
    ifNull(f.failures, 0) AS failures,
    f.first_seen AS first_seen,
    f.last_seen AS last_seen,
    f.versions AS versions,
    f.examples AS examples,
    m.opened_at AS opened_at,
    s.latest.2 AS detail
FROM (SELECT * FROM modes FINAL) AS m
LEFT JOIN
(
    SELECT t.mode_id AS mode_id, argMax((t.state, t.detail), (t.at, -- of two at once, what comes last in a life
        indexOf(['open', 'drafting', 'proposed', 'parked', 'closed', 'regressed', 'muted'], t.state))) AS latest
    FROM mode_states AS t FINAL GROUP BY t.mode_id
) AS s USING (mode_id)
LEFT JOIN
(
    SELECT
        mode_id,
        count() AS failures,
        min(occurred_at) AS first_seen,
        max(occurred_at) AS last_seen,
        arraySort(groupUniqArray(agent_version)) AS versions,
        groupArray(5)(trace_id) AS examples
    FROM verdicts FINAL
    WHERE failed
    GROUP BY mode_id
) AS f USING (mode_id);

CREATE VIEW IF NOT EXISTS failure_rates AS
SELECT
    agent,
    agent_version,
    count() AS traces,
    countIf(failed) AS failures,
    round(countIf(failed) / count(), 4) AS rate,
    min(occurred_at) AS first_seen,
    max(occurred_at) AS last_seen
FROM verdicts FINAL
GROUP BY agent, agent_version;
