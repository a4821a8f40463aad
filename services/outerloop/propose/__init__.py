"""Propose: an agent in a harness that turns an accepted eval into a patch, or says that it could not.

Consumes  outerloop.eval.accepted.v1, outerloop.eval.reopened.v1, outerloop.decision.reached.v1,
          outerloop.lesson.noted.v1; hears outerloop.loop.paused.v1.
Produces  outerloop.change.proposed.v1, outerloop.change.abandoned.v1.
Owns      ClickHouse: changes, harness_sessions, harness_steps, lessons, lesson_uses.
"""
