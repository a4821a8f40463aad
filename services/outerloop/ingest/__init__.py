"""Ingest: every trace stored, and handed on when it is complete.

Consumes  otlp_spans, otlp_logs (plain OTLP); and OTLP over gRPC and HTTP, which it puts on those topics.
Produces  outerloop.trace.settled.v1.
Owns      ClickHouse: otel_traces, evaluations, settlements.
"""
