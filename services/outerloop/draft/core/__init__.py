"""Pure functions: what an eval should expect, and whether it is one. No I/O."""
