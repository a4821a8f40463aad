"""Gate: ships a change only if the new eval and every earlier one pass; otherwise says what stopped it.

Consumes  `ChangeProposed`.
Produces  `DecisionReached`, one per change and per state of the repository it was judged in.
Owns      the tables of decisions and trials; in the agent's repository the release branch, the suite branch
          and `refs/outerloop/*`, which nothing else writes.

The way of a change: `ship.already_shipped` (a redelivery), `ship.whole_suite` (nothing of it is missing),
`candidate.prepare` (the patch on the head of the release branch, invariants), `checks` (the agent's own
tests), `core.decide` (which trial next, what verdict), `core.certificate`, `ship.ship`. A change that cannot
be judged until a person has put something right (`UserError`) is left; `app.Gate.look` takes it up again.
"""
