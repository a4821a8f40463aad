"""The shop around the agent: its customers (traffic) and its end-of-day audit job (audit)."""
