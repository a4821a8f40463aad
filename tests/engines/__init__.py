"""Real engines for the tests: Apache Kafka from its jars, official images where Docker answers."""
