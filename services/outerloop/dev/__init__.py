"""The local stack: embedded engines, the scripted model, and the supervisor that runs them as processes."""
