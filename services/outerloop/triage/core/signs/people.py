"""Signs in what the user said, and in what was done without asking the user."""

import re
from collections.abc import Iterator

from outerloop.trace.acts import act_of
from outerloop.trace.signal import Signal
from outerloop.triage.core.signs.making import failed, signal
from outerloop.triage.core.transcript import Transcript

# Of text in lower case.
_CORRECTS = re.compile(
    r"\b(no,|not what i|wrong|incorrect|that['’]s not|mistake|you said|i (already|just) (said|told|gave)"
    r"|again|still (not|does|wait)|frustrat\w*|disappoint\w*|ridiculous|unacceptable|double.?check"
    r"|are you sure|misunderst\w*|as i said|i asked)"
)
AGREES = re.compile(
    r"\b(yes|yeah|yep|sure|confirm(ed)?|go ahead|proceed|okay|ok|please do|correct|sounds good"
    r"|that works|agreed?)\b"
)
_ASKS_FIRST = re.compile(r"\b(confirm\w*|approv\w*|consent|permission)\b", re.IGNORECASE)


def correction(seen: Transcript) -> Iterator[Signal]:
    """The user says that the agent got it wrong, or asks for the same again."""
    for n, (i, text) in enumerate(seen.user):
        if n and (found := _CORRECTS.search(text.lower())):
            yield signal("correction", "user", text[max(0, found.start() - 80) :], seen.steps[i].span_id)


def unconfirmed_write(seen: Transcript) -> Iterator[Signal]:
    """A change that the user did not agree to, where the agent's rules ask for it and the user is there."""
    if not _ASKS_FIRST.search(seen.policy) or len(seen.user) <= 1:
        return
    for i, call in seen.calls:
        if act_of(call.name) == "write" and not failed(call) and not agreed_before(seen, i):
            said = _said_before(seen, i) or "nothing"
            yield signal("unconfirmed_write", call.name, f"the user had said: {said}", call.span_id)


def agreed_before(seen: Transcript, place: int) -> bool:
    """Whether the user's last words before a step agree."""
    return AGREES.search(_said_before(seen, place).lower()) is not None


def _said_before(seen: Transcript, place: int) -> str:
    return next((text for at, text in reversed(seen.user) if at < place), "")
