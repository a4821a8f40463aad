-- Every call of the model that triage asks, whatever came of it: a row before it, with the most that it may cost, which
-- the row after it replaces with what it did cost. A call of which no more is known (its worker was killed) stays
-- `asking`, and paid in full. `what` is judge or describe, `about` a trace or a mode; `outcome` is asking, answered,
-- useless, refused, away or withdrawn. The tokens of a day are those of calls that began in it. Writer: triage.
CREATE TABLE IF NOT EXISTS judge_calls
(
    at DateTime64(3, 'UTC'),
    call_id String,
    agent LowCardinality(String),
    what LowCardinality(String),
    about String,
    model LowCardinality(String),
    prompt LowCardinality(String),
    outcome LowCardinality(String),
    input_tokens UInt64,
    output_tokens UInt64,
    usd Float64,
    seconds Float64,
    step UInt8
)
ENGINE = ReplacingMergeTree(step)
ORDER BY (at, call_id);

-- How each judge (a model with a prompt) stands beside people, on the traces that both have spoken of: a person's
-- latest word on a trace counts, else the latest review. In the four counts people come first: good_bad are
-- traces that people call good and the judge bad, its false alarms. Writer: none, it is a view.
CREATE VIEW IF NOT EXISTS judge_agreement AS
WITH people AS
(
    SELECT agent, trace_id, argMax(good, (source = 'person', labelled_at)) AS good, 1 AS told
    FROM labels FINAL GROUP BY agent, trace_id
)
SELECT
    o.agent AS agent, o.model AS model, o.prompt AS prompt, count() AS opinions,
    countIf(o.said = 'bad') AS said_bad, countIf(o.said = 'unsure') AS unsure, countIf(o.said = '') AS useless,
    countIf(p.told = 1 AND o.said IN ('good', 'bad')) AS labelled,
    countIf(p.told = 1 AND p.good AND o.said = 'good') AS good_good,
    countIf(p.told = 1 AND p.good AND o.said = 'bad') AS good_bad,
    countIf(p.told = 1 AND NOT p.good AND o.said = 'good') AS bad_good,
    countIf(p.told = 1 AND NOT p.good AND o.said = 'bad') AS bad_bad,
    if(labelled = 0, NULL, round((good_good + bad_bad) / labelled, 4)) AS agreement,
    if(good_bad + bad_bad = 0, NULL, round(bad_bad / (good_bad + bad_bad), 4)) AS precision,
    if(bad_good + bad_bad = 0, NULL, round(bad_bad / (bad_good + bad_bad), 4)) AS recall,
    min(o.at) AS since
FROM (SELECT * FROM judge_opinions FINAL) AS o
LEFT JOIN people AS p ON p.agent = o.agent AND p.trace_id = o.trace_id
GROUP BY agent, model, prompt;
