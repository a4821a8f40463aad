"""A life of the gate: 60 proposals of five kinds to an agent with a suite of 40 evals, measured.

    python -m bench.life [--proposals 60] [--evals 40] [--kills 50] [--seed 7]      (make bench-life)

What is real: git and its pushes, the sandbox and all that is in it, Kafka's protocol, ClickHouse's engine,
the gate as a process of its own that is killed and started again, every trial of the agent.
What is not: **the model is a script** (`script`, `behaviour`) with a true pass rate for every pair of prompts
and request, drawn anew by a coin each time, and **the proposer is a script** (`proposer`, `patches`,
`hostile`) that writes rows and events as the services draft and propose do. No model wrote a change here.
The agent (`agent/`) keeps the contract of the demo's agent in plain Python, because a life makes some ten
thousand runs of it: a run of the demo's costs about ten times as much processor time.

`topics` says what customers ask, `founding` makes the suite that the life begins with, `world` starts the
processes, `chaos` kills, `traps` tells what hostile code has reached, `oracle` knows the true rates, `report`
makes the figures.

Of the JSON line: `…_beside_bound` are trials of candidates beside the least that any gate with the same
guarantee needs in the mean (`gate.core.lower_bound`), knowing all that the oracle knows. For a change that
regresses this is little: such a gate would ask for the broken eval alone. `model_calls` is what all trials
made. `troubles`, `several_verdicts`, `lost_verdicts` and `verified` say whether ships, verdicts, refs and the
ledger agree; `same_history` whether a life with kills ended as the calm one of the same options before it
(run that first, in the same folder). A life that `--within` ends is reported as far as it came, `undecided`
says how many proposals had no verdict, and it counts as failed.
"""
