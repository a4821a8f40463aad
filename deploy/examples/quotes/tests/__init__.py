"""Checks of quotes that must simply pass."""
