"""Court: one change, from its patch on the head to a verdict on every claim."""
