"""Entities: the particulars of a text, which say what it is about: ids, numbers, addresses, links."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

_MARKS = b"\"'<>()[]{};|\\=*`!?\t\n\r"
# Bytes, because most of a trace is looked at here: ASCII in lower case, marks as blanks, the rest as it is.
_APART = bytes.maketrans(bytes(range(65, 91)) + _MARKS, bytes(range(97, 123)) + b" " * len(_MARKS))
_APART_JSON = _APART.translate(bytes.maketrans(b",", b" "))
_TRIM = ".,:;/-$€£%+#_\u201c\u201d\u2018\u2019"
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
_DIGIT = re.compile(r"\d")
_LEVELS = 20
_LONGEST = 1e6  # a longer number is an id, not an amount


def entities(text: str) -> frozenset[str]:
    """The entities of a text, in lower case; a number as it reads without separators and trailing zeros.

    >>> sorted(entities("Paid $1,250.00 for HAT-12 to ann@example.com, ok? See www.example.com/a."))
    ['1250', 'ann@example.com', 'hat-12', 'www.example.com/a']
    """
    # In JSON a comma never belongs to a number.
    apart = _APART_JSON if text.lstrip()[:1] in {"{", "["} else _APART
    found: set[str] = set()
    for token in set(text.encode("utf-8", "replace").translate(apart).split()):
        if not token.isalpha():
            found.update(_named(token))
    return frozenset(found)


# The same ids and amounts come again and again: in every step of a trace, and in many of an agent's.
@lru_cache(maxsize=2**16)
def _named(token: bytes) -> tuple[str, ...]:
    word = token.decode().strip(_TRIM)
    if "," in word and not _THOUSANDS.fullmatch(word):
        return tuple(filter(_is_one, (_number(part.strip(_TRIM)) for part in word.split(","))))
    return (_number(word),) if _is_one(word) else ()


# What an agent was told once, it was told in every trace.
entities_of_rules = lru_cache(maxsize=64)(entities)


def _is_one(word: str) -> bool:
    return bool(word) and (_DIGIT.search(word) is not None or "@" in word[1:-1] or word.startswith("www."))


def leaves(value: Any, name: str = "", levels: int = _LEVELS) -> Iterator[tuple[str, str]]:
    """Every value of an argument object, however deep, with the name that it stands under."""
    if isinstance(value, str):
        yield name, value
    elif levels and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, str(key), levels - 1)
    elif levels and isinstance(value, Sequence):
        for inner in value:
            yield from leaves(inner, name, levels - 1)
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _number(entity: str) -> str:
    plain = entity.replace(",", "")
    try:
        value = float(plain)
    except ValueError:
        return entity
    return f"{value:g}" if abs(value) < _LONGEST else plain
