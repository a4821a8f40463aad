"""Evals: their format, what they expect of a trace, the recorded world they run in, the suite in git."""
