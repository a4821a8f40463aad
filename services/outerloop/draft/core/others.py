"""Others: what names a case, each with another of its kind: ids, people's names, amounts of money, dates.

What is put in another's place is said in the request and bound in the recording: a tool was called with it,
or returned it. So it can be put there in request, recording and expectations alike, and all of them still
agree. Where that is in doubt (a name that is also a word, an amount that others are added up to, a date that
is told in words) nothing is put in its place.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from hashlib import blake2b
from itertools import combinations
from typing import Any

from outerloop.draft.core.carry import asked, forms, is_id, whole
from outerloop.trace.model import Trace

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4}|\d\d?:\d\d")
_ISO = re.compile(r"(?<![\d-])\d{4}-\d\d-\d\d(?!\d)")
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_TOLD = re.compile(
    rf"(?i)\b(?:{_MONTH})[a-z]*\.? \d|\d(?:st|nd|rd|th)?(?: of)? (?:{_MONTH})|"
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"\b(?:to|yester)day\b|\btomorrow\b|\bago\b|\b(?:next|last|this) (?:week|month|year)"
)
_NUMBER = re.compile(r"\d{3,}")
_LETTER = re.compile(r"[^\W\d_]")
_NAMES = re.compile(r"(id|number|no|code|ref|reference)$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PERSON = re.compile(
    r"(?:first|last|given|family|full|contact)_name|surname|(?:customer|guest|member|passenger|patient|recipient)(?:_name)?"
)
_TELLS_A_PERSON = {"email", "phone", "address", "birthday", "dob", "date_of_birth"}
_WORD = re.compile(r"[A-Z][a-z]{2,}")
_MONEY = re.compile(r"(?:^|_)(?:amount|balance|charge|cost|fee|paid|price|refund|total|usd|eur|gbp)(?:$|_)")
_AMOUNT = re.compile(r"(?<![\d.,])\d{2,6}(?:\.\d\d?)?(?![\d,]|\.\d)")
_FIRST = ("Nora", "Felix", "Clara", "Jonas", "Alma", "Oscar", "Greta", "Hugo", "Ines", "Viktor")
_LAST = ("Keller", "Moreau", "Lindgren", "Okafor", "Tanaka", "Novak", "Hughes", "Petrov", "Barros", "Quinn")
_MOST_NUMBERS = 200
Others = Mapping[str, str]


def every(trace: Trace, seed: str) -> list[Others]:
    """What may be put in others' places, the most first; `seed` chooses which: the same gives the same."""
    ids = ids_of(trace, seed)
    people, rest = names_of(trace, seed), amounts_of(trace, seed) | dates_of(trace, seed)
    tries = ({**people, **rest, **ids}, {**people, **ids}, ids)
    return [made for number, made in enumerate(tries) if made and made not in tries[:number]]


def put(text: str, others: Others) -> str:
    """The text with the others in their places; an upper or lower case name stays one."""
    if not others:
        return text
    found = "|".join(_place(word) for word in sorted(others, key=len, reverse=True))
    lower = {word.lower(): other for word, other in others.items()}

    def other(match: re.Match[str]) -> str:
        word = match[0]
        made = others.get(word) or lower[word.lower()]
        return made.lower() if word.islower() else made.upper() if word.isupper() and len(word) > 1 else made

    return re.sub(found, other, text, flags=re.IGNORECASE)


def ids_of(trace: Trace, seed: str) -> dict[str, str]:
    """The numbers in ids that the request names and a tool was called with, each with another one."""
    request, everything = asked(trace), _everything(trace)
    named = {
        number[0]
        for call in trace.tool_calls
        for key, value in call.arguments.items()
        if _names_a_case(key, value) and any(_occurs(form, request) for form in forms(str(value)))
        for number in [_NUMBER.search(str(value))]
        if number
    }
    return _made(named, everything, seed, _other_number)


def names_of(trace: Trace, seed: str) -> dict[str, str]:
    """The names of people that the request says and a tool was given or returned, word by word."""
    request, everything = asked(trace), _everything(trace)
    found = dict[str, tuple[str, ...]]()
    for key, value, beside in _leaves(trace):
        words = _WORD.findall(value) if isinstance(value, str) else []
        if not words or " ".join(words) != value or not _is_person(key, beside):
            continue
        if any(_occurs_as_is(word, request) for word in words):
            last = key in {"last_name", "family_name", "surname"}
            end = len(words) - 1
            found |= {w: _LAST if last or at == end > 0 else _FIRST for at, w in enumerate(words)}
    made: dict[str, str] = {}
    for word, pool in sorted(found.items()):
        free = [name for name in pool if name.lower() not in everything.lower() and name not in made.values()]
        if not free or re.search(rf"(?<![\w@.-]){word.lower()}(?![\w@-]|\.\w)", everything):
            return {}  # it is a word, too, or nobody is left
        made[word] = free[_drawn(word, seed) % len(free)]
    left = put(everything, made).lower()
    return {} if any(word.lower() in left for word in made) else made


def amounts_of(trace: Trace, seed: str) -> dict[str, str]:
    """The amounts of money that the request says and a tool was given or returned, and nothing adds up to."""
    request, everything = asked(trace), _everything(trace)
    leaves = [(key, v) for key, v, _ in _leaves(trace) if type(v) in {int, float}]
    numbers = {float(value) for _, value in leaves}
    money = {float(value) for key, value in leaves if _MONEY.search(key)}
    said = {text for text in _AMOUNT.findall(request) if float(text) in money}
    if len(numbers) > _MOST_NUMBERS:
        return {}
    alone = {text for text in said if not _computed(float(text), numbers - {float(text)})}
    made = _made(alone, everything, seed, _other_amount)
    # As JSON says it: 42.50 is 42.5 there, and 42.00 42.0 or 42.
    written = dict(made)
    for text, other in made.items():
        for form in (_plain(text), f"{float(text)}"):
            written.setdefault(form, _plain(other) if form == _plain(text) else f"{float(other)}")
    return written


def dates_of(trace: Trace, seed: str) -> dict[str, str]:
    """All dates, by the same whole weeks later, where a tool was called with one that the request says.

    Not where a date is told in words; nor of one that a tool only returned: what is too late, say, is so by
    today's date, which no recording may hold.
    """
    request, everything = asked(trace), _everything(trace)
    said = set(_ISO.findall(everything))
    told = "\n".join([trace.root.input, *(f"{s.arguments}\n{s.result}" for s in trace.spans)])
    bound = {day for call in trace.tool_calls for day in _ISO.findall(json.dumps(dict(call.arguments)))}
    if not bound.intersection(_ISO.findall(request)) or _TOLD.search(told):
        return {}
    later = timedelta(weeks=1 + _drawn("weeks", seed) % 4)
    try:
        return {day: (date.fromisoformat(day) + later).isoformat() for day in said}
    except (ValueError, OverflowError):  # 2024-99-99
        return {}


def _everything(trace: Trace) -> str:
    return "\n".join(f"{s.input}\n{s.arguments}\n{s.result}\n{s.output}" for s in trace.spans)


def _leaves(trace: Trace) -> Iterator[tuple[str, Any, set[str]]]:
    """What tools were given and returned: a value's name, the value, and the names beside it."""
    waiting: list[tuple[str, Any, set[str]]] = []
    for call in trace.tool_calls:
        waiting.append(("", dict(call.arguments), set()))
        try:
            waiting.append(("", json.loads(call.result), set()))
        except (ValueError, RecursionError):
            continue  # a text
    while waiting:
        key, value, beside = waiting.pop()
        if isinstance(value, dict):
            names = {_CAMEL.sub("_", str(name)).lower() for name in value}
            waiting += [(_CAMEL.sub("_", str(name)).lower(), inner, names) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(key, inner, beside) for inner in value]
        else:
            yield key, value, beside


def _is_person(key: str, beside: set[str]) -> bool:
    return bool(_PERSON.fullmatch(key)) or (key == "name" and bool(beside & _TELLS_A_PERSON))


def _names_a_case(key: str, value: Any) -> bool:
    word = str(value)
    return is_id(value) and not _DATE.search(word) and bool(_LETTER.search(word) or _NAMES.search(key))


def _occurs(form: str, text: str) -> bool:
    return bool(re.search(whole(re.escape(form), form), text, re.IGNORECASE))


def _occurs_as_is(word: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w@-]){re.escape(word)}(?![\w@-])", text))


def _computed(amount: float, numbers: set[float]) -> bool:
    """Whether it or one of the numbers is a sum, difference or product of others, or it is in cents too."""
    near = 0.005
    return 100 * amount in numbers or any(
        abs(one + other - amount) < near
        or abs(one - other - amount) < near
        or abs(other - one - amount) < near
        or abs(one * other - amount) < near
        or abs(one * amount - other) < near
        or abs(other * amount - one) < near
        for one, other in combinations(numbers - {0.0, 1.0}, 2)
    )


def _made(words: set[str], everything: str, seed: str, other: Callable[[str, int], str]) -> dict[str, str]:
    """Each with another that occurs nowhere; one for which none is found is left out."""
    made: dict[str, str] = {}
    for word in sorted(words):
        tries = (other(word, _drawn(word, seed, attempt)) for attempt in range(100))
        if free := next((new for new in tries if new not in everything and new not in made.values()), ""):
            made[word] = free
    return made


def _other_number(number: str, drawn: int) -> str:
    least = 10 ** (len(number) - 1)
    return str(least + drawn % (9 * least))


def _other_amount(amount: str, drawn: int) -> str:
    """An amount of the same order, which begins as it does: what is too much for a rule stays too much."""
    units, dot, cents = amount.partition(".")
    return f"{units[:-1]}{(int(units[-1]) + 1 + drawn % 9) % 10}{dot}{cents}"


def _plain(amount: str) -> str:
    value = float(amount)
    return str(int(value)) if value.is_integer() else str(value)


def _drawn(word: str, seed: str, attempt: int = 0) -> int:
    digest = blake2b(f"{seed}/{word}/{attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _place(word: str) -> str:
    """Where a word stands as a whole: a number not within another, a name not within a word."""
    if _ISO.fullmatch(word):
        return rf"(?<![\d-]){word}(?!\d)"
    if word[0].isdigit():
        return rf"(?<![\d.]){re.escape(word)}(?!\d|\.\d)"
    return rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])"
