"""Takes one HTTP query apart the way ClickHouse's parser does: SQL, and the data that follows it.

chDB's `query` would parse data that stands behind an INSERT too, but it trims that text as if it were SQL, so
a binary payload that ends like a comment loses bytes. The data therefore goes in through `send_insert`, which
wants the statement and the format apart. And where the engine would run `SELECT 1; DROP TABLE t` as two
statements, a server refuses it: an injection must not find a laptop more willing than production.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
       | (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
       | (?P<word>\w+)
       | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_OPEN, _CLOSE = b"([{", b")]}"


class MultipleStatementsError(ValueError):
    """More than one statement in one query."""


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        sql: what the engine is given; of an INSERT with data, all that stands before FORMAT or VALUES.
        input_format: the format of `payload`; None unless data follows the statement.
        payload: the data, byte for byte; a view of what came, as it may be long.
        output_format: the FORMAT that the statement asks its answer in; None if it names none.
    """

    sql: bytes
    input_format: str | None = None
    payload: bytes | memoryview = b""
    output_format: str | None = None


def parse(query: bytes, data: bytes | memoryview = b"") -> Statement:
    """One statement out of a request's query text, which `data` follows after a line break.

    Raises:
        MultipleStatementsError: something other than a comment stands behind a semicolon.
    """
    if data:
        statement = parse(query)
        if statement.input_format is None or statement.payload:
            return parse(query + b"\n" + data)
        return replace(statement, payload=memoryview(data))
    tokens = _top_level(query)
    first = next(tokens, None)
    if first is None:
        return Statement(query)
    if first.group().upper() == b"INSERT":
        return _insert(query, tokens)
    output_format, after_format = None, False
    for token in tokens:
        word = token.group().upper()
        if word == b";":
            _refuse_more(tokens)
        elif after_format and token["word"]:
            output_format = token.group().decode()
        after_format = word == b"FORMAT"
    return Statement(query, output_format=output_format)


def _insert(query: bytes, tokens: Iterator[re.Match[bytes]]) -> Statement:
    for token in tokens:
        word = token.group().upper()
        if word == b"VALUES":
            return Statement(query[: token.start()], "Values", memoryview(query)[token.end() :])
        if word == b"FORMAT" and (name := next(tokens, None)) is not None:
            return Statement(query[: token.start()], name.group().decode(), _data(query, name.end()))
        if word == b";":
            _refuse_more(tokens)
    return Statement(query)


def _data(query: bytes, start: int) -> memoryview:
    """What follows a format's name: blanks and one line break belong to the statement, the rest is data."""
    blanks = re.compile(rb"[ \t\f]*\r?\n?").match(query, start)
    return memoryview(query)[blanks.end() if blanks else start :]


def _top_level(query: bytes) -> Iterator[re.Match[bytes]]:
    """Tokens outside brackets, without blanks and comments; lazy, so that data is never scanned."""
    depth = 0
    for token in _TOKEN.finditer(query):
        text = token.group()
        if token["other"] and text in _OPEN:
            depth += 1
        elif token["other"] and text in _CLOSE:
            depth -= 1
        elif depth == 0 and not token["space"]:
            yield token


def _refuse_more(tokens: Iterator[re.Match[bytes]]) -> None:
    if any(token.group() != b";" for token in tokens):
        raise MultipleStatementsError
