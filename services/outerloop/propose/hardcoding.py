"""Hard-coding: a change that quotes the eval's own values would pass that eval and repair nothing. Pure.

Looked for are what is in the eval's request, expectations and recorded calls, and nowhere in the agent: ids,
dates, amounts, addresses, names, and runs of the request's own words; as they are, and as a change might
hide them (see runtime.readings). What is written like a name and made of the agent's own words is none. What
a tool said of a call that it refused is not the eval's: it may show the form of an id by an example.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from outerloop.evals.model import Cassette, Eval
from outerloop.runtime.readings import digests, faithful, hidden

_TOKEN = re.compile(r"[^\W_][\w.@+/#-]*[^\W_]")
_NAMES = re.compile(r"\b[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})+\b")
_NUMBER = re.compile(r"\d{4,}")
_ROUND = re.compile(r"\d+\.0+")  # 100.00 is not 10000
# What programs and people name so wherever they are.
_STANDARD = re.compile(
    r"(?i)utf-?(?:8|16|32)|iso-?8601|iso-?8859(?:-\d+)?|sha-?(?:1|256|384|512)|base64|ipv[46]|oauth2|http/\d(?:\.\d)?"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_LEAST = 4
_LEAST_HIDDEN = 5  # shorter ones stand in whatever is turned round or decoded, by chance
_RUN = 6  # words in a row that are no chance
_LEAST_WORDS = 3
_LEAST_UNSPACED = 8  # characters of a sentence in a script without spaces
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SHOWN = 5


def quoted_values(added: Sequence[str], eval_: Eval, cassette: Cassette, base: Collection[str]) -> list[str]:
    """The eval's own values in the lines that a change adds; `base` are the texts of the agent's files."""
    text = "\n".join(added)
    agents = "\n".join([*base, *(call.result for call in cassette.calls if call.failed)])
    allowed = agents.casefold()
    known = _words(allowed)
    said, vocabulary = set(_own(eval_, cassette)), frozenset(re.findall(r"\w+", agents))
    own = sorted(v for v in said if v.casefold() not in allowed and not _is_phrase(v, vocabulary))
    read = [reading.casefold() for reading in faithful(text)]
    spelled = set().union(*map(_spellings, read)) - _spellings(allowed)
    found = [v for v in _begun(own, "\n".join(read)) if any(_stands_in(v.casefold(), each) for each in read)]
    found += [v for v in own if v not in found and _bare(v) in spelled]
    found += [v for v in _concealed(own, text) if v not in found]
    words = " ".join(map(_words, read))
    runs = (run for run in _runs(eval_.input) if run in words and run not in known)
    found += [run for run in runs if not run.isascii() or f" {run} " in f" {words} "][:1]
    return found[:_SHOWN]


def _is_phrase(value: str, vocabulary: Collection[str]) -> bool:
    """Whether what is written like a name is made of the agent's own words: Out For Delivery is nobody's.

    Words that the agent writes small, too: its examples may name an Ada Price and a John Long.
    """
    return _NAMES.fullmatch(value) is not None and all(word in vocabulary for word in _words(value).split())


def _concealed(own: Sequence[str], text: str) -> list[str]:
    """Those of the eval's values that a text holds in a form which has to be decoded first."""
    decoded = "\n".join(hidden(text)).casefold()
    long = [v for v in _begun(own, decoded) if len(v) >= _LEAST_HIDDEN]
    return [v for v in long if v.casefold() in decoded or _bare(v) in decoded] + digests(text, own)


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
        for token in (token for token in tokens if not _STANDARD.fullmatch(token)):
            if "@" in token or any(map(str.isdigit, token)):
                yield token
                yield from (number for number in _NUMBER.findall(token) if not _YEAR.fullmatch(number))
        yield from _NAMES.findall(text)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _texts(inner)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _begun(values: Sequence[str], text: str) -> list[str]:
    """Those whose first letters stand in a text: of a world of thousands of values, hardly any."""
    begins = {text[at : at + _LEAST] for at in range(len(text))}
    return [v for v in values if v.casefold()[:_LEAST] in begins or _bare(v)[:_LEAST] in begins]


def _stands_in(value: str, text: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", text) is not None


def _bare(value: str) -> str:
    """A value's letters and digits, as they are left of one that is spelled out; a round amount as it is."""
    return value if _ROUND.fullmatch(value) else re.sub(r"\W|_", "", value.casefold())


def _spellings(text: str) -> set[str]:
    """What a text names, whatever stands between the letters and digits of each: A4711 is A-4711."""
    named = map(_bare, _TOKEN.findall(text))
    return {each for each in named if len(each) >= _LEAST_HIDDEN and any(map(str.isdigit, each))}


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _runs(request: Any) -> Iterator[str]:
    """Every run of _RUN words in the texts of a request; a shorter text as a whole, if it is a sentence."""
    for text in _texts(request):
        words = _words(text).split()
        unspaced = len(text) >= _LEAST_UNSPACED and _UNSPACED.search(text)
        if len(words) < _RUN and (len(words) >= _LEAST_WORDS or unspaced):
            yield " ".join(words)
        yield from (" ".join(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))
