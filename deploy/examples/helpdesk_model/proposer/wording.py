"""Wording: the rule that answers a cause, and why. A further attempt at the same cause words it anew."""

import re
from dataclasses import dataclass

from proposer.brief import Cause

_ARGUMENT = (
    "The {subject} must have the form {detail}: if a customer gives only the number, complete it.",
    "Always pass the {subject} in the form {detail}, also when the customer writes it without the prefix.",
)
_LOOP = (
    "If {tool} fails{example}, do not call it again: tell the customer that a colleague will follow up.",
    "When {tool} answers with an error{example}, never repeat the call. Tell the customer and escalate.",
)
_INSTEAD = (
    "If {tool} fails{example}, do not call it again as before: call it with {instead} and answer from that.",
    "When {tool} answers with an error{example}, never repeat the same call. Use {instead} once instead.",
)
_BLUNT = "Do not call {tool}."
_CONDITIONAL = (
    "Call {tool} only if the order was {event} within the last {days} days; if it was longer ago, refuse.",
    "If an order was {event} more than {days} days ago, refuse: {tool} is only for more recent ones.",
)
_ANSWER = (
    "Every answer is {detail}, also when no tool was used and the customer only has a general question.",
    "Always answer with {detail}: never reply in prose, whatever the customer asks.",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """`text` goes into a file of the agent; `diagnosis` and `risk` go to the reader of the change."""

    text: str
    diagnosis: str
    risk: str
    confidence: float


def rule(cause: Cause, attempts: str, instead: str = "") -> Rule | None:
    """The rule to try, given what was tried before; None when the evidence lacks what it needs.

    `instead` is another way to call the tool, "argument value", as far as its description offers one.
    """
    tried = len(re.findall(r"^\+\+\+ ", attempts, re.MULTILINE))
    match cause.kind:
        case "argument":
            return _plain(_ARGUMENT, tried, cause, f"Nothing tells the model the form of the {cause.subject}")
        case "loop" if cause.tool:
            wordings = tuple(w.replace("{instead}", instead) for w in _INSTEAD) if instead else _LOOP
            return _plain(wordings, tried, cause, f"Nothing says what to do when {cause.tool} keeps failing")
        case "answer":
            return _plain(
                _ANSWER, tried, cause, f"The policy does not ask for {cause.detail} in every answer"
            )
        case "permission" if cause.tool:
            return _permission(cause, attempts, tried)
    return None


def _permission(cause: Cause, attempts: str, tried: int) -> Rule | None:
    """First the blunt idea; the condition once the gate has shown what the blunt one breaks."""
    wanted = re.search(
        rf"[^\n]*expected (?:a|the|at least \w+) calls? (?:of|to) `?{cause.tool}\b[^\n]*", attempts
    )
    if not wanted and not re.search(rf"^\+.*\b(?:not|never) call {cause.tool}\.", attempts, re.MULTILINE):
        return Rule(
            _BLUNT.format(tool=cause.tool),
            f"{cause.tool} was called where it should not have been ({cause.detail}); nothing forbids it.",
            f"requests that rightly need {cause.tool} would be refused",
            0.5,
        )
    if cause.days is None:
        return None
    learned = " ".join(wanted[0].split()).lstrip("- ") if wanted else "it was rejected"
    found = (
        f"Forbidding {cause.tool} altogether was too wide, as the earlier attempt showed ({learned}). What "
        f"sets the failing run apart is the order's age: the rule has to hold only beyond {cause.days} days"
    )
    return _plain(_CONDITIONAL, tried - 1, cause, found)


def _plain(wordings: tuple[str, ...], tried: int, cause: Cause, found: str) -> Rule:
    text = wordings[max(tried, 0) % len(wordings)].format(
        tool=cause.tool,
        detail=cause.detail,
        subject=cause.subject,
        days=cause.days,
        event=cause.event,
        example=f' (for example with "{cause.detail}")' if cause.detail else "",
    )
    return Rule(text, f"{found}.", "low: it adds one rule where there was silence", 0.8)
