"""What makes two failures the same mode.

The first sign, the tool or evaluator it is about, and the kind of thing that was said, with names and
numbers taken out. The same failure gets the same mode in any order of arrival.
"""

import re
from dataclasses import dataclass

from outerloop.runtime.envelope import stable_id
from outerloop.trace.signal import Signal

_FINGERPRINT_WORDS = 12
# What differs between two failures with one cause: quoted text, ids, numbers, e-mail addresses, JSON.
_PARTICULARS = re.compile(r"""'[^']*'|"[^"]*"|\{[^{}]*\}|\[[^\[\]]*\]|\S*[\d@]\S*|[A-Z]{2,}[-_]\S*""")
# Their text tells of the case at hand and differs each time; the kind and the subject say enough.
_TEXTLESS = {"evaluation", "repeated_call", "empty_answer"}
_TITLES = {
    "repeated_call": "{subject} is called again and again with the same arguments",
    "tool_error": "{subject} fails: {detail}",
    "error_status": "{subject} ends with an error: {detail}",
    "empty_answer": "{subject} ends without an answer",
    "evaluation": "{subject} says {detail}",
}
_TITLE_CHARACTERS = 110


@dataclass(frozen=True, slots=True)
class Group:
    """Where a failure belongs."""

    mode_id: str
    fingerprint: str
    kind: str
    title: str


def group_of(agent: str, signal: Signal) -> Group:
    """The mode of a failure of `agent` whose most telling sign is `signal`."""
    text = "" if signal.kind in _TEXTLESS else normalised(signal.detail)
    fingerprint = f"{signal.kind}|{signal.subject}|{text}"
    said = " ".join(_PARTICULARS.sub("…", signal.detail).split())
    title = _TITLES[signal.kind].format(subject=signal.subject, detail=said)
    if len(title) > _TITLE_CHARACTERS:
        title = title[: _TITLE_CHARACTERS - 1] + "…"
    return Group(stable_id("mode", agent, fingerprint), fingerprint, signal.kind, title)


def normalised(text: str) -> str:
    """`text` without what differs from case to case.

    >>> normalised("invalid order id '1007': expected the form A-1007")
    'invalid order id * expected the form *'
    """
    words = _PARTICULARS.sub("*", text).replace(":", " ").split()
    return " ".join(words[:_FINGERPRINT_WORDS]).lower()
