"""What tells of people: card, e-mail and phone numbers. Looked for only where a team asks for it."""

import re
from collections.abc import Sequence

import phonenumbers

from outerloop.runtime.secrets.detector import Detector

_DATE = re.compile(r"(?:19|20)\d\d[-. ](?:0\d|1[0-2])[-. ](?:[0-2]\d|3[01])|\d\d[-.]\d\d[-.](?:19|20)\d\d")


def _is_card(text: str) -> bool:
    """Whether the digits have a length and a beginning that a card network uses, and Luhn's check digit."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = sum(sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0 and bool(
        re.fullmatch(
            r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]|[3-6]\d|7[01]|720)\d{12,13}"
            r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35\d{14}",
            "".join(map(str, digits)),
        )
    )


CARDS = Detector(
    "card",
    rb"[2-6][0-9]{3}[ \-]?[0-9]{4}[ \-]?[0-9]{2}[ \-]?[0-9]{2}[ \-]?[0-9]",
    re.compile(
        rb"(?<![\w.+-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ -]?)\d{6}\2\d{4,5})"
        rb"(?![\w-]|\.\d)"
    ),
    _is_card,
    same=lambda text: "".join(c for c in text if c.isdigit()),
    before=30,
    after=30,
)
EMAILS = Detector(
    "email",
    rb"[A-Za-z0-9._%+\-]@[A-Za-z0-9][A-Za-z0-9\-]{0,62}\.[A-Za-z0-9]",
    re.compile(
        rb"(?<![\w.%+-])[\w.%+-]{1,64}+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
        rb"[A-Za-z]{2,24}(?![\w-])"
    ),
    same=str.lower,
    before=140,
    after=600,
)


def phones(regions: Sequence[str]) -> Detector:
    """Phone numbers, as libphonenumber knows them: international ones, and local ones of these regions.

    A local number must have something between its digits, as else every id of that length is one.
    """
    places: tuple[str | None, ...] = (None, *regions)

    def number(text: str) -> phonenumbers.PhoneNumber | None:
        for place in places[:1] if text.startswith("+") else places[1:]:
            try:
                parsed = phonenumbers.parse(text, place)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(parsed):
                return parsed
        return None

    def accepts(text: str) -> bool:
        if text.isdigit() or _DATE.match(text):
            return False
        return number(text) is not None

    def same(text: str) -> str:
        parsed = number(text)
        return (
            str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)) if parsed else text
        )

    international = rb"\+[0-9][0-9 ().\-]{6}"
    local = rb"[0-9]{2,4}[) .\-]{1,2}[0-9]{2,4}[ .\-][0-9]{2}"
    hint = rb"(?:" + international + rb"|" + local + rb")" if regions else international
    pattern = re.compile(rb"(?<![\w+.,:/-])(?:\+|\(?(?=\d))\d[\d ().\-]{5,20}\d(?![\w:]|[.,/-]\d)")
    return Detector("phone", hint, pattern, accepts, same, before=40, after=40)
