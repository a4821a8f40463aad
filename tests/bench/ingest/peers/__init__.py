"""What others do with the same spans: how many they take, how many they keep, how many a kill -9 costs.

Phoenix and MLflow take OTLP over HTTP, as our own receiver does, which is measured beside them; the Collector
reads the same Kafka and writes to the same ClickHouse as ingest.
"""

from bench.ingest.peers.every import measured

__all__ = ["measured"]
