"""Every metric name of ours, in one place. Prometheus' conventions: base units, _total for counters."""

from prometheus_client import Counter, Gauge

RECORDS = Counter("outerloop_records_total", "Kafka records by what became of them", ["group", "outcome"])
RETRIES = Counter("outerloop_retries_total", "attempts beyond the first", ["group"])
WAITING = Gauge("outerloop_waiting", "1 while a handler waits for an outage to end", ["group"])
SPANS = Counter("outerloop_spans_stored_total", "spans written to ClickHouse", [])
REFUSED = Counter("outerloop_spans_refused_total", "spans and evaluation results left out", ["reason"])
TRACES = Counter("outerloop_traces_total", "traces judged, by verdict", ["verdict"])
TRIALS = Counter("outerloop_trials_total", "trials run by the gate", ["outcome"])
DECISIONS = Counter("outerloop_decisions_total", "verdicts of the gate", ["verdict"])
SPEND = Counter("outerloop_spend_usd_total", "what the model has cost", ["service"])
