"""Pure functions: when a trace is complete. No I/O."""
