"""Secrets out of OTLP before it is stored, each replaced by a placeholder that is the same everywhere.

A record with nothing suspicious costs one pass over its bytes (Hyperscan, all hints at once). Where hints are
found, the fields that hold them are looked at, and nothing else is: see runtime.secrets and wire.py.
"""

import hashlib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from outerloop.ingest.core.personal import CARDS, EMAILS, phones
from outerloop.ingest.core.scanner import Scanner
from outerloop.ingest.core.wire import Editor, Shape, WireError, hidden, shape_of_logs, shape_of_traces
from outerloop.runtime.errors import PoisonError
from outerloop.runtime.secrets.credentials import NAMES, credentials, is_secret, name_pattern
from outerloop.runtime.secrets.detector import Detector


@dataclass(frozen=True)
class Policy:
    """What is looked for.

    `phone_regions`: where numbers without + may be from (ISO codes); `patterns`: name and regular expression;
    `names`: of attributes, beside our own; `key`: makes placeholders that nobody else can guess.
    """

    credentials: bool = True
    cards: bool = False
    emails: bool = False
    phones: bool = False
    phone_regions: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    detector: Detector


class Redactor:
    """Redacts requests; of use to many threads at once."""

    def __init__(self, policy: Policy) -> None:
        """Compile the policy.

        Raises:
            ValueError: saying which pattern of the policy is none.
        """
        self._key = hashlib.sha256(policy.key).digest()
        self._detectors = _detectors(policy)
        names = (*NAMES, *policy.names) if policy.credentials else policy.names
        name_hint, self._names = name_pattern(names) if names else (b"", re.compile(rb"(?!)"))
        hints = [detector.hint for detector in self._detectors] + [name_hint] * bool(names)
        self._scanner = _scanner(hints, policy) if hints else None

    def traces(self, payload: bytes) -> tuple[bytes, Counter[str]]:
        """A trace request, redacted, and how many of each kind were replaced.

        Raises:
            PoisonError: when something has to be replaced and it is no such request.
        """
        return self._redact(payload, shape_of_traces)

    def logs(self, payload: bytes) -> tuple[bytes, Counter[str]]:
        """A log request; as traces."""
        return self._redact(payload, shape_of_logs)

    def _redact(self, payload: bytes, shape: Callable[[], Shape]) -> tuple[bytes, Counter[str]]:
        found: Counter[str] = Counter()
        marks = self._scanner.marks(payload) if self._scanner else []
        if not marks:
            return payload, found
        editor = Editor(
            text=lambda content, inside: self._text(content, inside, found),
            value=lambda key, value: self._value(key, value, found),
        )
        try:
            redacted = editor.edit(payload, shape(), marks)
        except WireError as error:
            raise PoisonError(f"not an OTLP request: {error}") from error
        return redacted, found

    def _text(self, content: bytes, marks: Sequence[tuple[int, int]], found: Counter[str]) -> bytes:
        """A text with what the detectors find around the marks replaced."""
        seen: list[_Found] = []
        for number in sorted({number for _, number in marks}):
            if number < len(self._detectors):  # a name's mark says nothing of a text
                ends = [end for end, kind in marks if kind == number]
                seen += _matches(self._detectors[number], content, ends)
        parts: list[bytes] = []
        copied = 0
        for each in _apart(seen):
            text = content[each.start : each.end].decode("utf-8", "surrogateescape")
            found[each.detector.name] += 1
            quote = _quote(content, each.start, each.end)
            parts += (content[copied : each.start], quote, self._placeholder(each.detector, text), quote)
            copied = each.end
        return b"".join([*parts, content[copied:]])

    def _value(self, key: bytes, value: bytes, found: Counter[str]) -> bytes | None:
        """An AnyValue under a name of a credential, with all of its texts hidden; None under another name."""
        if not self._names.fullmatch(key):
            return None

        def hide(content: bytes) -> bytes:
            text = content.decode("utf-8", "surrogateescape")
            if not is_secret(text):
                return content
            found[_NAMED.name] += 1
            return self._placeholder(_NAMED, text)

        return hidden(value, hide)

    def _placeholder(self, detector: Detector, text: str) -> bytes:
        said = detector.same(text).encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(said, key=self._key, digest_size=3)
        return f"[{detector.name}:{digest.hexdigest()}]".encode()


# The key of a number in JSON; its quotes have backslashes where the JSON is a string in another one.
_BEFORE_NUMBER = re.compile(rb'(\\*")[ ]?:[ ]?\Z')
_AFTER_NUMBER = re.compile(rb"\s*(?:\\n\s*)?[,}\]]")
_NAMED = Detector("secret", b"", re.compile(rb"(?!)"))


def _matches(detector: Detector, content: bytes, ends: Sequence[int]) -> Iterator[_Found]:
    group = "secret" if "secret" in detector.pattern.groupindex else 0
    done = 0
    for end in ends:
        if end <= done:
            continue
        limit = min(len(content), end + detector.after)
        match = detector.pattern.search(content, max(done, end - detector.before), limit)
        if match and match.start() < end:
            done = match.end()
            if detector.accepts(match[group].decode("utf-8", "surrogateescape")):
                yield _Found(match.start(group), match.end(group), detector)


def _quote(content: bytes, start: int, end: int) -> bytes:
    """The quote that keeps JSON what it is, where what is replaced was a number in it; else nothing."""
    before = _BEFORE_NUMBER.search(content, max(0, start - 300), start)
    if before and content[start:end].isdigit() and _AFTER_NUMBER.match(content, end):
        return before[1]
    return b""


def _apart(found: Sequence[_Found]) -> list[_Found]:
    """Those that stand, in order of place: of two that overlap, the one that came first in the list."""
    taken: list[_Found] = []
    for each in found:
        place = bisect_left(taken, each.start, key=lambda other: other.start)
        free_before = not place or taken[place - 1].end <= each.start
        if free_before and (place == len(taken) or each.end <= taken[place].start):
            taken.insert(place, each)
    return taken


def _detectors(policy: Policy) -> list[Detector]:
    # The team's own first: what they name keeps their name.
    found = [_own(name, pattern) for name, pattern in policy.patterns.items()]
    if policy.credentials:
        found += credentials((*NAMES, *policy.names))
    found += [CARDS] * policy.cards + [EMAILS] * policy.emails
    return [*found, phones(policy.phone_regions)] if policy.phones else found


def _own(name: str, pattern: str) -> Detector:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
        raise ValueError(f"{name!r} cannot name a pattern: use small letters, digits and -")
    try:
        compiled = re.compile(pattern.encode())
    except re.error as error:
        raise ValueError(f"pattern {name}: {error}") from error
    return Detector(name, pattern.encode(), compiled)


def _scanner(hints: Sequence[bytes], policy: Policy) -> Scanner:
    """The team's hints come first."""
    try:
        return Scanner(hints, own=len(policy.patterns))
    except ValueError as error:
        raise ValueError(f"patterns {', '.join(policy.patterns)}: {error}") from error
