"""Chaos for ingest: spans are sent while ingest, Kafka and ClickHouse are killed and connections cut.

Everything is real and a process of its own: Apache Kafka with its log on disk, the ClickHouse engine with its
data on disk, ingest, and triage, by which rollups come about. Spans go to Kafka as a Collector sends them,
and to ingest's own OTLP receiver; the sender sends again until it is told that they have arrived. In the end
every span must be there exactly once, in what queries return and in what rollups say.
"""
