"""Pure functions: signs in a trace, and what makes two failures the same. No I/O."""
