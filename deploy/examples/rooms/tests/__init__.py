"""Checks of rooms that must simply pass."""
