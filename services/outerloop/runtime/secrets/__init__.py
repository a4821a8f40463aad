"""Secrets: what they look like. Ingest takes them out of traces, and no change may bring one along."""
