"""Wish: what a customer wants, understood by simple rules."""

import re
from dataclasses import dataclass
from typing import Literal

Intent = Literal["refund", "cancel", "address", "track", "status"]

_INTENTS: tuple[tuple[Intent, str], ...] = (
    ("cancel", r"cancel|call it off|do(?:n't| not) (?:want|need) \w+(?: \w+){0,2} any ?more"),
    ("refund", r"refund|money back|reimburse|send(?:ing)? (?:it|them) back|return"),
    ("address", r"address|moved|(?:send|deliver|ship) (?:it|that|(?:the |my )?order)\b[^.?!]{0,20} to\b"),
    ("track", r"where(?:'s| is| are)|track|parcel|package|shipment|carrier|arrived?\b"),
)
_WITH_LETTER = re.compile(r"\b[A-Za-z]{1,2}-?\d{3,6}\b")
_NAMED = re.compile(
    r"(?:order|#|number|no\.?|nr\.?)\s*(?:number|no\.?|nr\.?|id|is|:)?\s*#?\s*(\d{4})\b", re.IGNORECASE
)
_BARE = re.compile(r"(?<![\d.,-])\d{4}(?![\d.,]\d|\d)")
_ADDRESS = re.compile(
    r"(?:\bto|\bis|:)\s*:?\s+([A-Z][^\n!?;]*?\d[^\n!?;]*?)(?=[.!?]?(?:\s[A-Z][a-z]+[ ,][a-z]|\s*$|\n|[!?;]))"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """`order_id` is as the customer wrote it, "" when none is named; `address` likewise."""

    intent: Intent
    order_id: str
    address: str

    @classmethod
    def understand(cls, text: str) -> "Wish":
        """The wish in the customer's words."""
        intent: Intent = next((i for i, words in _INTENTS if re.search(words, text, re.IGNORECASE)), "status")
        address = _ADDRESS.search(text) if intent == "address" else None
        rest = text.replace(address[1], "") if address else text
        return cls(intent, _order_id(rest), address[1].strip(" .") if address else "")


def _order_id(text: str) -> str:
    written = _WITH_LETTER.search(text)
    if written:
        return written[0]
    named = _NAMED.search(text)
    if named:
        return named[1]
    bare = _BARE.search(text)
    return bare[0] if bare else ""
