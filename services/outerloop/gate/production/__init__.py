"""Production: what shipped is watched there, confirmed, reopened or undone."""
