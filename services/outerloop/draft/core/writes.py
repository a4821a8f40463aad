"""Writes: which tools change state, as far as their names say: the verb decides."""

import re
from collections.abc import Iterable

from outerloop.trace.model import Trace

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_VERBS = frozenset(
    """
    add approve archive assign book buy cancel change charge clear close create delete deny disable edit
    enable exchange execute extend forward grant insert invite issue merge modify move order pay place post
    publish purchase push put refund register reject remove rename renew replace reply reschedule reserve
    reset restart return revoke save schedule send set share submit subscribe suspend transfer unsubscribe
    update upgrade upload withdraw write
    """.split()  # noqa: SIM905 - a list of words, as one reads it
)


def changes_state(tool: str) -> bool:
    """Whether the tool's name begins with the verb of a change.

    >>> [changes_state(name) for name in ("cancel_order", "sendEmail", "get_order", "orders")]
    [True, True, False, False]
    """
    words = _WORD.findall(tool)
    return bool(words) and words[0].lower() in _VERBS


def writes_of(traces: Iterable[Trace]) -> tuple[str, ...]:
    """The tools that change state which any of these runs called, by name."""
    return tuple(sorted({c.name for t in traces for c in t.tool_calls if changes_state(c.name)}))
