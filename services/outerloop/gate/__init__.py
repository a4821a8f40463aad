"""Gate: ships a change only if every claim on it is proven, or says what stopped it; watches what shipped.

Consumes  `ChangeProposed`; in a consumer group of their own, the workers `TrialRequested`.
Produces  `DecisionReached`, one per change and per state of the repository it was judged in; `TrialRequested`
          and `TrialFinished`; `ReleaseWatched` and `EvalReopened`, about what production shows.
Owns      the tables decisions, trials, releases, release_findings, reopenings and sentinel_days; in the
          agent's repository the release branch, the suite branch and `refs/outerloop/*`, which nothing else
          writes.

The way of a change: `ship.already_shipped` (a redelivery), `ship.whole_suite` (nothing of it is missing),
`candidate.prepare` (the patch on the head of the release branch, invariants), `checks` (the agent's own
tests), `hearing` (every claim: see `core`), `proof`, `ship.ship`, or `merge` where people merge. A change
that cannot be judged until a person has put something right (`UserError`), or before a certain time
(`WaitError`), is left; `app.Gate.look` takes it up again.
"""
