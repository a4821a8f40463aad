"""AnyValues as text, letter for letter as ClickHouse writes them: a span reads the same, whoever made it."""

import base64
import json
import math
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPES = str.maketrans(
    {chr(n): f"\\u{n:04X}" for n in (*range(0x20),)} | {"\u2028": "\\u2028", "\u2029": "\\u2029"} | _SHORT
)
# Between these powers of ten ClickHouse writes a double without an exponent.
_PLAIN_FROM, _PLAIN_BELOW = -7, 21


def quoted(text: str) -> str:
    """A JSON string, as toJSONString makes it."""
    return f'"{text.translate(_ESCAPES)}"'


def text_of_value(value: AnyValue) -> str:
    """A string as it is, any other value as its JSON; a double as ClickHouse writes it."""
    arm = value.WhichOneof("value")
    if arm == "string_value":
        return value.string_value
    if arm == "double_value":
        return text_of_double(value.double_value)
    if arm == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if arm == "array_value" and all(
        v.WhichOneof("value") == "string_value" for v in value.array_value.values
    ):
        return f"[{','.join(quoted(v.string_value) for v in value.array_value.values)}]"
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def text_of_double(number: float) -> str:
    """The shortest text that reads as this number again, as toString of ClickHouse gives it."""
    if not math.isfinite(number):
        return str(number)
    sign = "-" if math.copysign(1, number) < 0 else ""
    digits, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    power = len(whole) + int(exponent or 0)  # of ten, by which 0.digits is multiplied
    digits = (whole + fraction).lstrip("0")
    power -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0"
    if not _PLAIN_FROM < power - 1 < _PLAIN_BELOW:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{power - 1}"
    if power <= 0:
        return f"{sign}0.{'0' * -power}{digits}"
    if power >= len(digits):
        return sign + digits + "0" * (power - len(digits))
    return f"{sign}{digits[:power]}.{digits[power:]}"


def plain(value: AnyValue) -> Any:
    """The value in Python's own types; bytes as base64."""
    arm = value.WhichOneof("value")
    if arm is None:
        return None
    if arm == "array_value":
        return [plain(item) for item in value.array_value.values]
    if arm == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    if arm == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, arm)
