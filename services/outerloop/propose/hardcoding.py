"""Hard-coding: a change that quotes the eval's own values would pass that eval and repair nothing. Pure.

Looked for are what is in the eval's request, expectations and recorded calls, and nowhere in the agent: ids,
dates, amounts, addresses, names, and runs of the request's own words. What a tool said of a call that it
refused is not the eval's: it may show the form of an id by an example.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from outerloop.evals.model import Cassette, Eval

_TOKEN = re.compile(r"[^\W_][\w.@+/#-]*[^\W_]")
_NAMES = re.compile(r"\b[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})+\b")
_LEAST = 4
_RUN = 6  # words in a row that are no chance
_SHOWN = 5


def quoted_values(added: Sequence[str], eval_: Eval, cassette: Cassette, base: Collection[str]) -> list[str]:
    """The eval's own values in the lines that a change adds; `base` are the texts of the agent's files."""
    text = "\n".join(added)
    own = set(_own(eval_, cassette))
    allowed = "\n".join([*base, *(call.result for call in cassette.calls if call.failed)]).casefold()
    folded = text.casefold()
    found = [v for v in sorted(own) if v.casefold() not in allowed and _stands_in(v.casefold(), folded)]
    found += [run for run in _runs(eval_.input) if run in _words(text) and run not in _words(allowed)][:1]
    return found[:_SHOWN]


def _own(eval_: Eval, cassette: Cassette) -> Iterator[str]:
    """What names the case: values with a digit or an @ in them, and names of several words."""
    said = [*_texts(eval_.input)]
    for expectation in eval_.model_dump(mode="json")["expect"]:
        said += _texts({key: value for key, value in expectation.items() if key not in {"check", "tool"}})
    for call in cassette.calls:
        said += _texts(call.arguments)
        if not call.failed:
            said.append(call.result)
    for text in said:
        tokens = (token for token in _TOKEN.findall(text) if len(token) >= _LEAST)
        yield from (token for token in tokens if "@" in token or any(map(str.isdigit, token)))
        yield from _NAMES.findall(text)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _texts(inner)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _stands_in(value: str, text: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", text) is not None


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _runs(request: Any) -> Iterator[str]:
    """Every run of _RUN words in the texts of a request."""
    for text in _texts(request):
        words = _words(text).split()
        yield from (" ".join(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))
