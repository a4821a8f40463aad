"""Triage: which traces failed, and which failures have one cause.

Consumes  outerloop.trace.settled.v1; its own outerloop.failure.detected.v1, which brings all failures of
          an agent to one replica; outerloop.trace.labelled.v1, eval.reviewed, mode.ruled, detector.chosen
          and outerloop.replay.requested.v1 from people; and, for the life of a mode, eval.drafted,
          eval.linked, eval.undraftable, eval.retired, change.proposed, change.abandoned, decision.reached
          and eval.reopened.
Produces  outerloop.failure.detected.v1, outerloop.mode.opened.v1, outerloop.mode.escalated.v1.
Hears     outerloop.loop.paused.v1: a model, where one is set, is not asked of what is paused.
Owns      ClickHouse: verdicts, judged_traces, modes, mode_states, mode_rulings, mode_escalations, labels,
          detectors, detector_decisions, judge_calls, judge_opinions, mode_descriptions, trace_outliers.
"""
