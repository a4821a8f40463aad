"""bench-ingest: how fast ingest is, beside what limits it and beside the plain way, in one run.

limit   the same bytes, inserted by ClickHouse alone: no Kafka, and no Python that looks at a span
ours    from Kafka records to rows that a query finds
plain   parsed in Python, a row built for each span, inserted
"""
