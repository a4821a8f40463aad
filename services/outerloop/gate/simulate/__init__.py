"""Simulate: the deciding code against simulated agents, beside the rules that people use instead."""
