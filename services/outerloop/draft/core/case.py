"""Case: what of a call's arguments says which case it was about, and not how the run went about it."""

import re
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import ToolCall, Trace, text_of

_ID = re.compile(r"\S*\d\S*")
# 'A-1031' is 1031 to a customer.
_PREFIX = re.compile(r"\A\D+(?=\d)")
_LONGEST = 200  # characters of a value that may name a case


def case_of(trace: Trace, call: ToolCall) -> dict[str, Any]:
    """The arguments of a call of `trace` that name its case; {} when none does.

    An argument names the case when its value occurs in the request or in what earlier tools returned. Ids
    come before other words, and the request before the tools, as a worse choice would let the same deed
    pass under another wording or amount. Text of several words never counts: it can be worded otherwise.
    """
    asked = "\n".join(text_of(m) for m in trace.input_messages if m.get("role") == "user")
    earlier = takewhile(lambda c: c.span_id != call.span_id, trace.tool_calls)
    told = "\n".join(c.result for c in earlier)
    words = {key: value for key, value in call.arguments.items() if _is_word(value)}
    ids = {key: value for key, value in words.items() if isinstance(value, str) and _ID.fullmatch(value)}
    tiers = (_named(of, text) for of in (ids, words) for text in (asked, told))
    return next(filter(None, tiers), {})


def _named(arguments: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if _occurs(value, text)}


def _is_word(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and len(value.split()) == 1
    return isinstance(value, int | float) and not isinstance(value, bool)


def _occurs(value: Any, text: str) -> bool:
    word = value.strip() if isinstance(value, str) else canonical(value)
    forms = {word, _PREFIX.sub("", word)}
    return any(re.search(_whole(form), text, re.IGNORECASE) for form in forms)


def _whole(form: str) -> str:
    """A pattern for it as a whole: not as a part of a longer word or number."""
    before, after = (r"\d" if end.isdigit() else r"\w" for end in (form[0], form[-1]))
    return f"(?<!{before}){re.escape(form)}(?!{after})"
