"""Triage: which traces failed, and which failures have one cause.

Consumes  outerloop.trace.settled.v1; and, for the life of a mode, eval.drafted, change.proposed,
          change.abandoned, decision.reached and eval.reopened.
Produces  outerloop.failure.detected.v1, outerloop.mode.opened.v1.
Owns      ClickHouse: verdicts, modes, mode_states.
"""
