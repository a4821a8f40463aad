"""Native answers for `client_protocol_version` 54460, as clickhouse-go asks: on chDB and on a server."""

import httpx2
import pytest

INFO = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])  # what that protocol puts before every block
KINDS = [
    "toString(number * 1000000)",
    "repeat('x', number * 100)",
    "number",
    "number = 1",
    "toFixedString('abc', 5)",
    "if(number = 1, NULL, 'two')",
    "NULL",
    "[number, 7]",
    "emptyArrayString()",
    "[[toString(number)], []]",
    "map('a', ['x', NULL], 'b', [])",
    "CAST((number, 'x'), 'Tuple(a UInt8, `b c` String)')",
    "CAST((number, 'x'), 'Tuple(UInt8, Nullable(String))')",
    "CAST('a,(b', $$Enum8('a,(b' = 1, 'it\\'s)' = 2)$$)",
    "toDecimal128('1.5', 3)",
    "toDateTime64('2026-01-01 00:00:00.123', 9, 'Europe/Berlin')",
    "toDate32('1950-01-01')",
    "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
    "toIPv6('::1')",
    "toInt256(-number)",
    "toIntervalDay(3)",
    "CAST(number, 'SimpleAggregateFunction(sum, UInt64)')",
    "CAST([('k', number)], 'Nested(k String, v UInt16)')",
]


@pytest.fixture(params=["chdb", "clickhouse_server"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def ask(url: str, sql: str, protocol: int) -> httpx2.Response:
    asked = {"default_format": "Native", "client_protocol_version": str(protocol)}
    return httpx2.post(url, params=asked, content=sql.encode())


def native(url: str, sql: str, protocol: int) -> bytes:
    return ask(url, sql, protocol).raise_for_status().content


def of_three(url: str, *columns: str, protocol: int) -> bytes:
    named = ", ".join(f"{column} AS {name}" for column, name in zip(columns, "xy", strict=False))
    return native(url, f"SELECT {named} FROM numbers(3)", protocol)  # noqa: S608 - KINDS stand above


def column(url: str, kind: str) -> tuple[bytes, bytes]:
    """Name and type, then the values: a block of the first protocol is 1 column, 3 rows, `x`, its type."""
    body = of_three(url, kind, protocol=0)
    assert body[:4] == b"\x01\x03\x01x"
    end = 5 + body[4]
    assert body[4] < 0x80
    return body[2:end], body[end:]


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_is_found_to_its_end(url: str, kind: str) -> None:
    (head, values), (after, more) = column(url, kind), column(url, "toUInt8(number)")
    after = after.replace(b"\x01x", b"\x01y", 1)
    framed = of_three(url, kind, "toUInt8(number)", protocol=54460)
    assert framed == INFO + b"\x02\x03" + head + b"\0" + values + after + b"\0" + more


def test_each_block_has_its_info(url: str) -> None:
    sql = "SELECT number AS x FROM numbers(200000) SETTINGS max_block_size = 65536"
    plain, framed = native(url, sql, 0), native(url, sql, 54460)
    blocks = framed.count(INFO)
    assert blocks >= 3
    assert len(framed) == len(plain) + blocks * (len(INFO) + 1)


def test_no_rows_are_no_surprise(url: str) -> None:
    sql = "SELECT toString(number) AS x FROM numbers(0)"
    assert len(native(url, sql, 54460)) in (0, len(native(url, sql, 0)) + len(INFO) + 1)


def test_an_older_protocol_is_answered_as_ever(chdb: str) -> None:
    assert native(chdb, "SELECT 1 AS x", 54405) == native(chdb, "SELECT 1 AS x", 0)


def test_what_cannot_be_framed_is_said(chdb: str) -> None:
    refused = ask(chdb, """SELECT '{"a": 1}'::JSON AS x""", 54460)
    assert refused.status_code == 501
    assert "JSON in Native for clickhouse-go" in refused.text
