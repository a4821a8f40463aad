"""Carry: what names one case, carried over to another: the 'A-1031' of this request is the 'A-2207' of that.

An eval's expectations name the case of its exemplar. To be held against another run on a request like it,
what stands in their arguments is replaced by what stands in its place in the other request.
"""

import re
from collections.abc import Mapping
from typing import Any

from outerloop.trace.model import Trace, text_of

# 'A-1031' is 1031 to a customer.
_PREFIX = re.compile(r"\A\D+(?=\d)")
_PIECE = re.compile(r"\d+|[^\W\d_]+|.", re.DOTALL)
_DIGIT = re.compile(r"\d")
_ID = re.compile(r"[\w-]*\d[\w-]*")
_LONGEST = 200  # characters of a value that may name a case


def asked(trace: Trace) -> str:
    """All that the user of a run said."""
    return "\n".join(text_of(m) for m in trace.input_messages if m.get("role") == "user")


def is_id(value: Any) -> bool:
    """Whether a value may be an id: one word with a digit in it."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    word = str(value)
    return len(word) <= _LONGEST and len(word.split()) == 1 and bool(_DIGIT.search(word))


def ids_in(text: str) -> set[str]:
    """The words of a text that may be ids."""
    return set(_ID.findall(text))


def without_ids(text: str) -> str:
    """A text without them: how it is worded, whatever its case."""
    return _ID.sub("", text)


def carried(value: Any, here: str, there: str) -> Any | None:
    """What stands in `there` where the id `value` stands in `here`; None if that cannot be told.

    It can when `there` has exactly one word of the same make (digits for digits, letters for letters).
    """
    if not is_id(value):
        return None
    word = str(value)
    for form in forms(word):
        if not re.search(whole(re.escape(form), form), here, re.IGNORECASE):
            continue
        found = dict.fromkeys(re.findall(whole(_make(form), form), there, re.IGNORECASE))
        if len(found) == 1:
            new = word.removesuffix(form) + next(iter(found))
            return int(new) if isinstance(value, int) and new.isdecimal() else new
    return None


def carried_arguments(arguments: Mapping[str, Any], here: str, there: str) -> dict[str, Any]:
    """The arguments that can be carried over; what cannot is left out."""
    pairs = ((key, carried(value, here, there)) for key, value in arguments.items())
    return {key: value for key, value in pairs if value is not None}


def forms(word: str) -> list[str]:
    """How a word may stand in a text: as it is, and an id without its prefix."""
    return [form for form in dict.fromkeys((word, _PREFIX.sub("", word))) if form]


def whole(pattern: str, form: str) -> str:
    """A pattern for `form` as a whole: not as a part of a longer word or number."""
    before, after = (r"\d" if end.isdigit() else r"\w" for end in (form[0], form[-1]))
    return f"(?<!{before}){pattern}(?!{after})"


def _make(form: str) -> str:
    def like(piece: str) -> str:
        if piece.isdigit():
            return r"\d+"
        return r"[^\W\d_]+" if piece.isalpha() else re.escape(piece)

    return "".join(map(like, _PIECE.findall(form)))


def named_in_request(trace: Trace, tool: str) -> Mapping[str, Any]:
    """The arguments that all good calls of `tool` share and that the request names, by id."""
    calls, request = [c for c in trace.tool_calls if c.name == tool and not c.failed], asked(trace)
    if not calls:
        return {}
    return {
        key: value
        for key, value in calls[0].arguments.items()
        if all(call.arguments.get(key) == value for call in calls)
        and carried(value, request, request) == value
    }
