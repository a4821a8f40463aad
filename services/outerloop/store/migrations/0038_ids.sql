-- No span is stored without its ids. ClickHouse reads a field of protobuf that is sent twice, which is valid, as empty; what
-- is refused here ingest writes anew and sends again (store.spans.RefusedError). Writer: ingest.
ALTER TABLE otel_traces ADD CONSTRAINT IF NOT EXISTS ids CHECK TraceId != '' AND SpanId != '';
