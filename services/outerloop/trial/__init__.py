"""Trials: one run of an agent at one commit on one eval, in a sandbox, graded by its own trace."""
