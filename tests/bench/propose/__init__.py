"""Propose, measured: see __main__ for what and how."""
