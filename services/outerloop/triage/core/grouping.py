"""What makes two failures the same mode: one cause, whatever the conversation was about.

A mode is named by the failure's first sign: what kind of thing went wrong, at which tool or evaluator, and
what was said, with names and numbers taken out. The same failure gets the same mode in any order of arrival.
"""

import re
from dataclasses import dataclass

from outerloop.runtime.envelope import stable_id
from outerloop.trace.signal import Signal
from outerloop.triage.core.sayings import SAYINGS, Severity

_FINGERPRINT_WORDS = 12
# What differs between two failures with one cause: quoted text, ids, numbers, e-mail addresses, JSON.
_PARTICULARS = re.compile(r"""'[^']*'|"[^"]*"|\{[^{}]*\}|\[[^\[\]]*\]|\S*[\d@]\S*|[A-Z]{2,}[-_]\S*""")
# Whose text names the cause. Elsewhere it tells of the case at hand and differs each time.
_TEXTFUL = {"tool_error", "error_status"}
# Who obeys whoever gets a text into a tool's result does so with any tool: one hole, not one for each.
_ANYWHERE = {"injection_followed"}
_TITLE_CHARACTERS = 110


@dataclass(frozen=True, slots=True)
class Group:
    """Where a failure belongs, and what is said of all that belong there, in a title and in a sentence."""

    mode_id: str
    fingerprint: str
    kind: str
    title: str
    description: str
    severity: Severity


def group_of(agent: str, signal: Signal) -> Group:
    """The mode of a failure of `agent` whose most telling sign is `signal`."""
    subject = "" if signal.kind in _ANYWHERE else signal.subject
    text = normalised(signal.detail) if signal.kind in _TEXTFUL else ""
    fingerprint = f"{signal.kind}|{subject}|{text}"
    said = " ".join(_PARTICULARS.sub("…", signal.detail).split())
    saying = SAYINGS[signal.kind]
    return Group(
        stable_id("mode", agent, fingerprint),
        fingerprint,
        signal.kind,
        _short(saying.title.format(subject=signal.subject, detail=said)),
        saying.description.format(subject=signal.subject),
        saying.severity,
    )


def normalised(text: str) -> str:
    """`text` without what differs from case to case.

    >>> normalised("invalid order id '1007': expected the form A-1007")
    'invalid order id * expected the form *'
    """
    words = _PARTICULARS.sub("*", text).replace(":", " ").split()
    return " ".join(words[:_FINGERPRINT_WORDS]).lower()


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_CHARACTERS else title[: _TITLE_CHARACTERS - 1] + "…"
