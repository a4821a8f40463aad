"""Spans and scores as other tools export them, made into OTLP: functions over the rows of their files."""
