"""Every metric name of ours, in one place. Prometheus' conventions: base units, _total for counters."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("outerloop_records_total", "Kafka records by what became of them", ["group", "outcome"])
RETRIES = Counter("outerloop_retries_total", "attempts beyond the first", ["group"])
WAITING = Gauge("outerloop_waiting", "1 while a handler waits for an outage to end", ["group"])
AGENT_WAITS = Counter(
    "outerloop_agent_waits_total",
    "looks at an agent whose next step waits, for a person or for an outage to end; the log says why",
    ["group", "agent"],
)
LAG = Gauge("outerloop_lag_records", "records that this replica has still to handle", ["group", "topic"])
LAG_SECONDS = Gauge(
    "outerloop_lag_seconds",
    "age, at most, of the oldest record that waits for it",
    ["group", "topic"],
)
SPANS = Counter("outerloop_spans_stored_total", "spans written to ClickHouse", [])
REFUSED = Counter("outerloop_spans_refused_total", "spans and evaluation results left out", ["reason"])
REDACTED = Counter("outerloop_redacted_total", "what was replaced before it was stored", ["kind"])
TRACKED = Gauge("outerloop_traces_tracked", "traces for which spans came and that are not settled yet", [])
OTLP_PENDING = Gauge("outerloop_otlp_pending_bytes", "of requests that Kafka does not have yet", [])
OTLP_BUSY = Counter("outerloop_otlp_busy_total", "requests told to come again, for want of memory", [])
TRACES = Counter("outerloop_traces_total", "traces judged, by verdict", ["verdict"])
JUDGE_CALLS = Counter(
    "outerloop_judge_calls_total", "calls of triage's model by what came of them", ["what", "outcome"]
)
VERDICT_SECONDS = Histogram(
    "outerloop_verdict_seconds",
    "from a trace's last span to its verdict",
    [],
    buckets=(1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 14400),
)
TRIALS = Counter("outerloop_trials_total", "trials run by the gate", ["outcome"])
TRIALS_WAITING = Gauge("outerloop_trials_waiting", "trials that this judge has asked for and waits for", [])
TRIAL_WAIT = Gauge("outerloop_trial_wait_seconds", "how long the one that it waits for the longest takes", [])
ERROR_LEFT = Gauge(
    "outerloop_gate_error_left_ratio",
    "share of the gate's error that is not spent on failed changes",
    ["agent"],
)
DECISIONS = Counter("outerloop_decisions_total", "verdicts of the gate", ["verdict"])
RELEASES = Counter("outerloop_releases_total", "what production has shown of releases", ["finding"])
SENTINEL_ALARMS = Counter(
    "outerloop_sentinel_alarms_total", "strata of evals that became worse with no release", ["agent"]
)
SPEND = Counter("outerloop_spend_usd_total", "what the model has cost", ["service"])
