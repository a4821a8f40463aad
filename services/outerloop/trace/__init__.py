"""What a trace is to us, and how OTLP becomes one."""
