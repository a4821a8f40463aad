"""Readings: what a text says besides what stands in it: unescaped, put together, decoded, turned round. Pure.

Whoever looks for a value that a change must not hold looks at all of them. They are guesses and not a proof:
code can compute anything. What they find is what is written down.
"""

import base64
import codecs
import hashlib
import html
import re
import sys
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from urllib.parse import unquote

MOST = 200_000  # characters of a text that are looked into
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))")
# A string that ends where the next one begins: side by side, added, listed; across lines too.
_SEAM = re.compile(r"""["'`]\s*(?:[+.,&|]|\.\.|<>)?\s*\\?\s*(?:[rbfu]{1,2})?["'`]""", re.IGNORECASE)
_GROUPS = re.compile(r"\(\?:|[()\[\]\\^$]")  # what a regular expression, or a list, puts around letters
_HELD = re.compile(r"""\$?\{\s*["']?([\w-]+)["']?\s*\}""")  # a constant in a template
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}={0,2}")
_HEX = re.compile(r"\b(?:0x)?([0-9a-fA-F]{8,})\b")
_CODES = re.compile(r"\b\d{2,3}\b(?:[\s,;]+\d{2,3}\b){3,}")
_SPELLED = re.compile(r"\b\w(?:[\s.,_·-]{1,3}\w\b){3,}")
_DIGEST = re.compile(r"\b[0-9a-f]{8,128}\b")
_HALVES = (0xD800, 0xDFFF)  # of surrogate pairs: no letters
_DIGESTS = ("md5", "sha1", "sha256", "sha512")


def plain(text: str) -> str:
    """As a reader sees it: compatible forms as one, every dash as -, nothing that does not show."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return "".join("-" if unicodedata.category(c) == "Pd" or c == "\N{MINUS SIGN}" else c for c in seen)


def faithful(text: str) -> list[str]:
    """What a text says when it is read by a person, a program or a browser; itself first."""
    text = text[:MOST]
    unescaped = unquote(html.unescape(_ESCAPE.sub(_unescaped, text)))
    bare = _GROUPS.sub("", plain(unescaped))
    joined = [_HELD.sub(r"\1", _SEAM.sub("", each)) for each in (bare, plain(unescaped))]
    return list(dict.fromkeys([text, plain(text), plain(unescaped), *joined]))


def hidden(text: str) -> list[str]:
    """What a text would say to who decodes it: codes of letters, base64, hexadecimal, backwards, rot13."""
    said = faithful(text)
    found: list[str] = []
    for each in said:
        found += [_spelled(match[0]) for match in _SPELLED.finditer(each)]
        found += [_letters(match[0]) for match in _CODES.finditer(each)]
        found += list(_decoded(each))
    whole = said[-1]
    return list(dict.fromkeys([*found, whole[::-1], codecs.encode(whole, "rot13")]))


def digests(text: str, values: Collection[str]) -> list[str]:
    """Those of `values` whose digest, or the beginning of it, stands in a text."""
    written = {match[0] for each in faithful(text) for match in _DIGEST.finditer(each.lower())}
    if not written:
        return []
    return [value for value in values if any(each.startswith(tuple(written)) for each in _digests(value))]


def _digests(value: str) -> Iterator[str]:
    data = value.encode(errors="replace")
    yield from (hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in _DIGESTS)


def _unescaped(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    code = int(digits, 16) if digits else int(match[4], 8)
    return chr(code) if code <= sys.maxunicode and not _HALVES[0] <= code <= _HALVES[1] else match[0]


def _spelled(text: str) -> str:
    return re.sub(r"\W|_", "", text)


def _letters(text: str) -> str:
    return "".join(filter(str.isprintable, map(chr, map(int, re.findall(r"\d+", text)))))


def _decoded(text: str) -> Iterator[str]:
    for match in _HEX.finditer(text):
        digits = match[1]
        yield _text(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    for match in _BASE64.finditer(text):
        token = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        with suppress(ValueError):  # of a length that no base64 has
            yield _text(base64.b64decode(token + "=" * (-len(token) % 4)))


def _text(data: bytes) -> str:
    """Bytes as text, "" if they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""
