"""Trials: runs of the agent that a court asks for, made in this process or by any worker."""
