"""Carry: what names one case, carried over to another: the 'A-1031' of this request is the 'A-2207' of that.

An eval's expectations name the case of its exemplar. To be held against another run on a request like it,
what stands in their arguments is replaced by what stands in its place in the other request.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from outerloop.trace.messages import text_of
from outerloop.trace.model import ToolCall, Trace

# 'A-1031' is 1031 to a customer.
_PREFIX = re.compile(r"\A\D+(?=\d)")
_PIECE = re.compile(r"\d+|[^\W\d_]+|.", re.DOTALL)
_DIGIT = re.compile(r"\d")
_ID = re.compile(r"[\w-]*\d[\w-]*")
_LONGEST = 200  # characters of a value that may name a case
_WORDS = 2  # of a value that is exact, as a date with its time of day
_AGREEING = 2


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


def carried_where_told(arguments: Mapping[str, Any], here: str, there: str) -> dict[str, Any]:
    """The arguments, carried over where they can be; else as they are."""
    return {**arguments, **carried_arguments(arguments, here, there)}


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


def agreed(tool: str, failing: Trace, healthy: Sequence[Trace]) -> dict[str, Any]:
    """The arguments that healthy runs on the very request of `failing` all give the tool, in one call.

    Fewer than two of them agree on nothing. What is worded (a title, a text) counts for nothing: another
    wording would do as well.
    """
    request = asked(failing).split()
    runs = [
        [{k: v for k, v in c.arguments.items() if _is_exact(v)} for c in run.tool_calls if _is_good(c, tool)]
        for run in healthy
        if asked(run).split() == request
    ]
    if len(runs) < _AGREEING or not all(runs):
        return {}
    shared = [_shared(call, runs[1:]) for call in runs[0]]
    return max(shared, key=len)


def _shared(call: dict[str, Any], runs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    for run in runs:
        same = [{k: v for k, v in call.items() if k in other and other[k] == v} for other in run]
        call = max(same, key=len)
    return call


def _is_good(call: ToolCall, tool: str) -> bool:
    return call.name == tool and not call.failed


def _is_exact(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and 0 < len(value.split()) <= _WORDS and bool(_DIGIT.search(value))
    return isinstance(value, int | float)
