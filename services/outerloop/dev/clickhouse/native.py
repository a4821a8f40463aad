"""Native answers in the form that clickhouse-go reads: the Collector's exporter, Grafana's plugin.

The engine writes Native blocks as the first protocol had them. Who asks with a `client_protocol_version` of
54454 or more expects a few bytes beside them: a block's info before each, and after each column's type a
byte that says that it is serialised as usual. To find where a column ends, its values are gone through.
"""

import re
from collections.abc import Iterator

FRAMED_SINCE = 54454  # DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
_INFO = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])  # no overflow row, no bucket
_USUAL = b"\0"
_WIDTHS = {
    1: ("Bool", "Int8", "UInt8", "Enum8", "Nothing"),
    2: ("Int16", "UInt16", "Enum16", "Date", "BFloat16"),
    4: ("Int32", "UInt32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32"),
    8: ("Int64", "UInt64", "Float64", "DateTime64", "Decimal64"),
    16: ("Int128", "UInt128", "UUID", "IPv6", "Decimal128"),
    32: ("Int256", "UInt256", "Decimal256"),
}
_WIDTH_OF = {name: width for width, names in _WIDTHS.items() for name in names}
_DECIMALS = ((9, 4), (18, 8), (38, 16), (76, 32))  # digits up to which a Decimal(P, S) has so many bytes
_PARTS = re.compile(r"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|.""", re.DOTALL)


class UnknownTypeError(ValueError):
    """A column's type has a form in Native that is not known here."""


def framed(body: bytes) -> bytes:
    """The same blocks, as that protocol has them; nothing stays nothing.

    Raises:
        UnknownTypeError: a column is JSON, Dynamic, Variant or an aggregate's state.
    """
    reader, out = _Reader(body), bytearray()
    while reader.at < len(body):
        columns, rows = reader.varint(), reader.varint()
        out += _INFO + _varint(columns) + _varint(rows)
        for _ in range(columns):
            start = reader.at
            reader.string()
            kind = reader.string().decode()
            out += body[start : reader.at] + _USUAL
            start = reader.at
            reader.skip(kind, rows)
            out += body[start : reader.at]
    return bytes(out)


class _Reader:
    """A place in the bytes, which moves on."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0

    def varint(self) -> int:
        """An unsigned LEB128."""
        value = shift = 0
        while True:
            byte = self._body[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that there is more
                return value
            shift += 7

    def string(self) -> bytes:
        """Its length, and so many bytes."""
        size = self.varint()
        self.at += size
        return self._body[self.at - size : self.at]

    def skip(self, kind: str, rows: int) -> None:
        """Past the values of one column."""
        name, _, rest = kind.partition("(")
        inner = list(_split(rest[:-1]))
        if name == "String":
            for _ in range(rows):
                self.string()
        elif name == "FixedString":
            self.at += rows * int(inner[0])
        elif name == "Nullable":
            self.at += rows
            self.skip(inner[0], rows)
        elif name == "SimpleAggregateFunction":
            self.skip(inner[1], rows)
        elif name in ("Array", "Map", "Nested"):
            last = self._last_offset(rows)
            for each in inner:
                self.skip(_unnamed(each), last)
        elif name == "Tuple":
            for each in inner:
                self.skip(_unnamed(each), rows)
        else:
            self.at += rows * _width(name, inner)

    def _last_offset(self, rows: int) -> int:
        self.at += 8 * rows
        return int.from_bytes(self._body[self.at - 8 : self.at], "little") if rows else 0


def _width(name: str, inner: list[str]) -> int:
    if name == "Decimal":
        return next(width for digits, width in _DECIMALS if int(inner[0]) <= digits)
    if name.startswith("Interval"):
        return 8
    if name not in _WIDTH_OF:
        raise UnknownTypeError(name)
    return _WIDTH_OF[name]


def _split(inner: str) -> Iterator[str]:
    """The arguments of a type, at commas that stand in no brackets and no quotes."""
    depth, part = 0, ""
    for found in _PARTS.finditer(inner):
        text = found.group()
        depth += (text == "(") - (text == ")")
        if text == "," and not depth:
            yield part.strip()
            part = ""
        else:
            part += text
    if part.strip():
        yield part.strip()


def _unnamed(element: str) -> str:
    """A tuple's element without its name: `a b` is `b`, and `Array(a b)` is itself."""
    head = re.match(r"(?:`(?:[^`\\]|\\.)*`|\w+) (?=\w)", element)
    return element[head.end() :] if head else element


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:  # noqa: PLR2004 - the bit that says that there is more
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
