-- name: spans
-- Ten spans a trace, in order of time over sixty days, of agents of which the first has half of all traffic, the
-- second a quarter, and so on; a version lives for ten days.
INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, Duration, StatusCode,
    AgentName, AgentVersion, SessionId, Operation, Model, ToolName, SpanAttributes,
    InputTokens, OutputTokens, StoredAt)
SELECT
    toDateTime64('2026-10-01 00:00:00', 9, 'UTC') + toIntervalSecond(intDiv(t * 60 * 86400, {traces:UInt64}) + place) AS at,
    lower(hex(MD5(toString(t)))), leftPad(lower(hex(place + 1)), 16, '0'),
    if(place = 0, '', leftPad('1', 16, '0')),
    multiIf(place = 0, 'invoke_agent', place % 2 = 1, 'chat', 'execute_tool'), 'bench', cityHash64(number) % 2000000000,
    if(cityHash64(t, 3) % 8 = 0 AND place = 9, 'Error', 'Unset'),
    concat('agent-', toString(7 - toUInt8(log2(1 + cityHash64(t, 1) % 255)))),
    concat('v', toString(intDiv(dateDiff('day', toDate('2026-10-01'), toDate(at)), 10))), '',
    multiIf(place = 0, 'invoke_agent', place % 2 = 1, 'chat', 'execute_tool'),
    if(place % 2 = 1, if(cityHash64(t, 4) % 3 = 0, 'model-a', 'model-b'), ''),
    if(place > 0 AND place % 2 = 0, concat('tool-', toString(cityHash64(t, place) % 9)), ''),
    multiIf(
        place = 0, map(),
        place % 2 = 0, map('gen_ai.tool.call.arguments', concat('{"id": ', toString(t), '}'),
                           'gen_ai.tool.call.result', 'found: one order, shipped'),
        map('gen_ai.input.messages', concat('Where is my order ', toString(t), '?'),
            'gen_ai.output.messages', 'It is on its way and will be with you soon.')),
    if(place % 2 = 1, 300 + cityHash64(number, 5) % 3000, 0), if(place % 2 = 1, 20 + cityHash64(number, 6) % 400, 0),
    now64(3)
FROM (SELECT number, intDiv(number, 10) AS t, number % 10 AS place
      FROM numbers({first:UInt64}, {count:UInt64}));

-- name: verdicts
-- What triage would store of them: one trace in eight failed, in modes of very different size.
INSERT INTO verdicts (agent, agent_version, trace_id, failed, mode_id, span_id, signals, detector, occurred_at,
    judged_at, model, tool, tools, spans, seconds, input_tokens, output_tokens, usd)
SELECT
    any(AgentName) AS agent, any(AgentVersion), TraceId, countIf(StatusCode = 'Error') > 0 AS failed,
    if(failed, concat('mode-', agent, '-', toString(toUInt32(sqrt(cityHash64(TraceId, 7) % 400)))), ''),
    if(failed, anyIf(SpanId, StatusCode = 'Error'), ''),
    if(failed, [('tool_error', 'tool', 'no such order', '')], []), concat('rules/', toString(cityHash64(TraceId) % 2)),
    min(Timestamp), now64(3), anyIf(Model, Model != ''), if(failed, anyLastIf(ToolName, ToolName != ''), ''),
    groupUniqArrayIf(ToolName, ToolName != ''), count(), sum(Duration) / 1e9, sum(InputTokens), sum(OutputTokens),
    sum(InputTokens) * 2e-6
FROM otel_traces WHERE Timestamp >= toDateTime64({start:String}, 9, 'UTC')
    AND Timestamp < toDateTime64({start:String}, 9, 'UTC') + toIntervalDay({days:UInt32}) GROUP BY TraceId;

-- name: again
-- One in fifty is judged again: what replaces what has to be found out in every query.
INSERT INTO verdicts SELECT * REPLACE (now64(3) AS judged_at) FROM verdicts WHERE cityHash64(trace_id, 11) % 50 = 0;

-- name: modes
INSERT INTO modes (mode_id, agent, title, fingerprint, kind, opened_at) SELECT mode_id, any(agent), concat('title of ', mode_id), mode_id, 'tool_error', now64(3)
FROM judged_traces WHERE failed GROUP BY mode_id;

-- name: outliers
INSERT INTO trace_outliers SELECT agent, day, trace_id, 'latency_outlier', 'pay', '', 60, 2, judged_at
FROM judged_traces WHERE cityHash64(trace_id, 12) % 100 = 0;

-- name: states
INSERT INTO mode_states SELECT mode_id, 'open', 'opened', '', now64(3) FROM modes;

-- name: labels
INSERT INTO labels SELECT agent, trace_id, 'person', 'ada', cityHash64(trace_id, 8) % 10 = 0, '', judged_at, detector,
    failed, 0.5 FROM judged_traces WHERE cityHash64(trace_id, 9) % 500 = 0;

-- name: evaluations
INSERT INTO evaluations SELECT trace_id, '', 'quality', 'judge', if(failed, 'fail', 'pass'), NULL, failed, '',
    occurred_at, now64(3) FROM judged_traces WHERE cityHash64(trace_id, 10) % 20 = 0;
