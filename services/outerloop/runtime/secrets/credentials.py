"""Credentials: what tells them apart is a prefix, a structure, or a name beside them, and never chance.

Traces are full of ids, hashes and base64, which must stay. The formats are the providers' own, as gitleaks,
GitHub's secret scanning and detect-secrets list them.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from functools import cache

from outerloop.runtime.secrets.detector import Detector
from outerloop.runtime.secrets.tokens import TOKENS

# Names whose values are credentials, written with _, - or nothing between the words.
NAMES = (
    *("authorization", "proxy-authorization", "cookie", "set-cookie", "password", "passwd", "pwd"),
    *("passphrase", "client-secret", "api-key", "x-api-key", "apikey", "access-token", "refresh-token"),
    *("id-token", "auth-token", "x-auth-token", "bearer-token", "session-token", "secret-key", "private-key"),
    *("secret-access-key", "aws-secret-access-key", "aws-session-token", "x-goog-api-key"),
    *("x-amz-security-token", "secret-token", "webhook-secret", "signing-secret", "api-secret"),
)
_PLACEHOLDER = re.compile(r"\[[a-z0-9-]+:[0-9a-f]{6}\]?")
# What documents write where a credential would stand.
_EXAMPLES = re.compile(
    r"(?i)(?:<.*>|\$?\{.*\}?|\$\w+|%\(?\w*\)?s?|[x*.•-]+|null|none|true|false|string|str|required|optional|"
    r"undefined|redacted|\[?(?:redacted|filtered|masked|hidden)\]?|your[-_ ].*|password|secret|token|example)"
)
_BESIDE = ("secret", "connection-password")
_LEAST_NAMED = 3  # characters
_QUOTE = r"""[\\]{0,15}["']"""


def _is_basic(text: str) -> bool:
    """Whether this is a user and a password in base64."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in plain and plain.isascii() and plain.decode("ascii").isprintable()


def _is_jwt(text: str) -> bool:
    head = text.split(".", 1)[0]
    try:
        return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).lstrip().startswith(b"{")
    except binascii.Error:
        return False


def _mixed(text: str) -> bool:
    return any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def is_secret(text: str) -> bool:
    """Whether what stands beside a name of a credential is one: not what documents write in its place."""
    return (
        len(text) >= _LEAST_NAMED
        and not _PLACEHOLDER.fullmatch(text)
        and not _EXAMPLES.fullmatch(text.strip())
    )


def _names(names: Sequence[str]) -> str:
    return "(?:" + "|".join(re.escape(name).replace(r"\-", "[-_]?") for name in names) + ")"


def _structured(names: Sequence[str]) -> tuple[Detector, ...]:
    any_name = _names(names)
    return (
        Detector(
            "private-key",
            rb"-----BEGIN[ A-Z0-9]{0,40} PRIVATE KEY",
            re.compile(
                rb"-----BEGIN[ A-Z0-9]{0,40} PRIVATE KEY(?: BLOCK)?-----"
                rb"(?:(?:(?!-----)[\s\S]){0,20000}-----END[ A-Z0-9]{0,40} PRIVATE KEY(?: BLOCK)?-----"
                rb"|[A-Za-z0-9+/=\s\\]{16,})"  # cut off before its end
            ),
            after=32_768,
        ),
        Detector(
            "jwt",
            rb"eyJ[A-Za-z0-9_\-]{8,1500}\.eyJ[A-Za-z0-9_\-]{8}",
            re.compile(
                rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}"
            ),
            _is_jwt,
            before=1600,
            after=32_768,
        ),
        Detector(
            "connection-password",
            rb"://[^\s/:@\"'<>\\]{0,100}:[^\s/@\"'<>\\]{1,200}@[A-Za-z0-9\[]",
            re.compile(
                rb"(?<=[A-Za-z0-9+.-])://[^\s/:@\"'<>\\]{0,100}:"
                rb"(?P<secret>[^\s/@\"'<>\\]{1,200})@(?=[A-Za-z0-9\[])"
            ),
            is_secret,
        ),
        Detector(
            "bearer-token",
            rb"(?i)\bBearer[ +][A-Za-z0-9._~+/\-]{16}",
            re.compile(rb"(?i)\bBearer[ +](?P<secret>[A-Za-z0-9._~+/-]{16,}=*)"),
            _mixed,
        ),
        Detector(
            "basic-credentials",
            rb"(?i)\bBasic [A-Za-z0-9+/]{8}",
            re.compile(rb"(?i)\bBasic (?P<secret>[A-Za-z0-9+/]{8,}={0,2})"),
            _is_basic,
        ),
        Detector(
            "telegram-token",
            rb"[0-9]{8,10}:AA[A-Za-z0-9_\-]{32}",
            re.compile(rb"(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{32,33}(?![A-Za-z0-9_-])"),
        ),
        # JSON, also as a string in JSON, however often: the quotes then have backslashes before them.
        Detector(
            "secret",
            rf"(?i){any_name}{_QUOTE}[ \t]{{0,3}}:[ \t\r\n]{{0,3}}{_QUOTE}[^\"'\\]{{3}}".encode(),
            re.compile(
                rf"(?i){any_name}{_QUOTE}[ \t]{{0,3}}:[ \t\r\n]{{0,3}}{_QUOTE}".encode()
                + rb"(?P<secret>[^\"'\\\s]{3,}(?:[ ][^\"'\\\s]+){0,1})(?=\\*[\"'])"
            ),
            is_secret,
        ),
        # A line of an environment, of YAML, of headers, or part of a URL. Prose has no digit there, or a URL.
        Detector(
            "secret",
            rf"(?i){any_name}(?:=|:[ ]{{1,3}})(?:{_QUOTE})?[^\s\"'&,;<>]{{6}}".encode(),
            re.compile(
                rf"(?i){any_name}(?:=|:[ ]{{1,3}})(?:{_QUOTE})?"
                rf"(?P<secret>[^\s\"'&,;<>\\)\]}}]{{6,}})".encode()
            ),
            lambda text: _mixed(text) and is_secret(text) and "://" not in text,
        ),
        Detector(
            "basic-credentials",
            rf"(?i)\bauth{_QUOTE}[ ]?:[ ]?{_QUOTE}[A-Za-z0-9+/]{{8}}".encode(),  # Docker's config.json
            re.compile(
                rf"(?i)\bauth{_QUOTE}[ ]?:[ ]?{_QUOTE}(?P<secret>[A-Za-z0-9+/]{{8,}}={{0,2}})".encode()
            ),
            _is_basic,
        ),
        Detector(
            "azure-signature",
            rb"[?&]sig=[A-Za-z0-9%+/]{40}",
            re.compile(rb"[?&]sig=(?P<secret>[A-Za-z0-9%+/]{40,}=*)"),
        ),
    )


@cache
def credentials(names: tuple[str, ...] = NAMES) -> tuple[Detector, ...]:
    """What is on by default; `names` are those beside which anything is a credential.

    Where two see the same thing, the first names it.
    """
    key, jwt, *others = _structured(names)
    return (key, *TOKENS, jwt, *others)


def kinds(text: str, drawn: Callable[[str], bool]) -> list[str]:
    """The names of the detectors that find a credential in a text.

    What is one for nothing but the name or the address that it stands beside has to be `drawn`, too.
    """
    data = text.encode(errors="replace")
    return list(dict.fromkeys(each.name for each in credentials() if _finds(each, data, drawn)))


def _finds(detector: Detector, data: bytes, drawn: Callable[[str], bool]) -> bool:
    group = "secret" if "secret" in detector.pattern.groupindex else 0
    values = (match[group].decode() for match in detector.pattern.finditer(data))
    return any(detector.accepts(value) and (detector.name not in _BESIDE or drawn(value)) for value in values)


def name_pattern(names: Sequence[str] = NAMES) -> tuple[bytes, re.Pattern[bytes]]:
    """Names of attributes: as a hint, where the field with the value follows, and to decide by.

    A name may stand behind others: `http.request.header.authorization`, `db.password`.
    """
    any_name = _names(names)
    return rf"(?i){any_name}\x12".encode(), re.compile(rf"(?i)(?:.*[./:])?{any_name}".encode())
