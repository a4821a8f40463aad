"""Draft: an eval for a failure mode, proven on recorded traces before a person sees it.

Consumes  outerloop.mode.opened.v1, outerloop.eval.reviewed.v1, outerloop.eval.imported.v1.
Produces  outerloop.eval.drafted.v1, outerloop.eval.undraftable.v1, outerloop.eval.accepted.v1.
Owns      ClickHouse: evals, heldout, draft_calls.

A mode without an eval is kept there too, and tried again when more of it, or of healthy runs, is recorded.
"""
