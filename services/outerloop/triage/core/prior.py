"""What is thought of a trace before anything was learned: rules that decide, and what hints add up to.

The weights are odds that hold in every agent that we have seen, and small where they did not: they put
traces in an order, and are no probability. Only the rules make a failure of a trace.
"""

from collections.abc import Collection, Mapping
from math import exp, log1p

# Log odds of a sign, once; more of the same add little.
_SIGNS = {
    "injection_followed": 5.0,
    "evaluation": 5.0,
    "error_status": 4.0,
    "truncated": 4.0,
    "abrupt_end": 4.0,
    "empty_answer": 4.0,
    "false_success": 3.5,
    "repeated_call": 3.0,
    "tool_error": 3.0,
    "error_streak": 1.5,
    "unconfirmed_write": 1.5,
    "schema_violation": 1.0,
    "invented_argument": 0.6,
    "invented_answer": 0.4,
    "recovered_error": 0.4,
    "error_passed": 0.4,
    "loop": 0.3,
    "injection_seen": 0.3,
    "correction": 0.1,
}
# Log odds of a difference from peers, a unit of each: see peers.NAMES.
_PEERS = {
    "peers.alike": -1.5,
    "peers.best": -0.5,
    "peers.missing": 0.15,
    "peers.extra": 0.4,
    "peers.extra.mean": 0.5,
}
_MORE = 0.3
_FAR = 30.0
# A trace without a rule's sign stays below every trace with one.
UNDECIDED = 0.5


def prior(signs: Mapping[str, float], peers: Mapping[str, float], deciding: Collection[str]) -> float:
    """How bad a trace looks, from 0 to 1: UNDECIDED or more exactly when a sign that decides is there.

    `signs`: how often each kind of sign was seen; `deciding`: the kinds that decide.
    """
    odds = sum(weight * peers.get(name, 0.0) for name, weight in _PEERS.items())
    odds += sum(_SIGNS.get(kind, 0.0) * (1 + _MORE * log1p(n - 1)) for kind, n in signs.items() if n)
    share = UNDECIDED / (1 + exp(-max(-_FAR, min(_FAR, odds))))
    return UNDECIDED + share if any(signs.get(kind) for kind in deciding) else share
