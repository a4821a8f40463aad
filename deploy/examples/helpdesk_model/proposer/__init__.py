"""The script as a proposer of changes: reads the evidence, adds one rule where it belongs, or gives up."""

from proposer.steps import reply

__all__ = ["reply"]
