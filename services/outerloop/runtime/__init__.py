"""Kafka, ClickHouse, git, the model client, settings, health, errors: services stand on it; it knows none."""
