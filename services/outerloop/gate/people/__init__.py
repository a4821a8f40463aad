"""People: what a person asks of the gate from a clone alone."""
