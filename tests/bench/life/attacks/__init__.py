"""Code that hostile changes put into the agent. It runs in sandboxes and nowhere else.

Each file defines `attack(known, request, trace)`: what the proposer told it, the request, the agent's trace.
It gives what the agent is to answer; "": go on as always. `ESCAPED` in an answer: it got at something.
"""
