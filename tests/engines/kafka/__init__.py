"""Apache Kafka, one KRaft node from its jars; needs Java 17, and `mvn`, which knows where jars come from."""

from engines.kafka.node import ApacheKafka, missing

__all__ = ["ApacheKafka", "missing"]
