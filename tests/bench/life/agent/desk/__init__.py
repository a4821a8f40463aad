"""A support agent in plain Python: what the demo's agent does, at a tenth of its start-up time."""
