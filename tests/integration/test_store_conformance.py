"""What outerloop asks of ClickHouse over HTTP: one suite for chDB behind our own front, and for a server."""

import asyncio
import datetime as dt
import itertools
import json
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from engines.embedded import Chdb

BATCH = {"async_insert": 0}
PERSON = 'syntax = "proto3"; message Person { string name = 1; repeated uint64 scores = 2; }'


@pytest.fixture(params=["chdb", "clickhouse_server"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def database(url: str) -> Iterator[str]:
    """A database of the test's own; Atomic, which the engine's default database is not on chDB."""
    name = f"conformance_{uuid.uuid4().hex[:8]}"
    with clickhouse_connect.get_client(dsn=url) as client:
        client.command(f"CREATE DATABASE {name} ENGINE = Atomic")
        yield name
        client.command(f"DROP DATABASE {name}")


@pytest.fixture
def client(url: str, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=url, database=database) as one:
        yield one


@pytest.fixture
async def aclient(url: str, database: str) -> AsyncIterator[AsyncClient]:
    async with await clickhouse_connect.get_async_client(dsn=url, database=database) as one:
        yield one


def rows(client: Client, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(query, parameters=parameters).result_rows]


def test_the_types_of_our_tables_pass_both_ways(client: Client) -> None:
    client.command("""
        CREATE TABLE spans (
            id UUID, at DateTime64(9, 'UTC'), name LowCardinality(String),
            attributes Map(LowCardinality(String), String),
            events Nested(name String, at DateTime64(9, 'UTC'), attributes Map(String, String)),
            tags Array(String), cost Decimal(18, 9), ok Bool, score Nullable(Float64),
            kind Enum8('llm' = 1, 'tool' = 2)
        ) ENGINE = MergeTree ORDER BY id
    """)
    at = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)
    row = (
        uuid.uuid4(), at, "chat", {"gen_ai.system": "anthropic", "ключ": "\x00\n'\\"},
        ["retry", "tool"], [at, at], [{"a": "1"}, {}],
        ["x", ""], Decimal("0.000000125"), True, None, "tool",
    )  # fmt: skip
    client.insert("spans", [row], settings=BATCH)
    got = client.query("SELECT * FROM spans", tz_mode="aware")
    assert got.result_rows == [row]


def test_nanoseconds_are_kept(client: Client) -> None:
    client.command("CREATE TABLE t (at DateTime64(9, 'UTC')) ENGINE = MergeTree ORDER BY at")
    client.raw_insert(
        "t", insert_block='{"at": "2026-11-23 12:00:00.123456789"}', fmt="JSONEachRow", settings=BATCH
    )
    assert client.command("SELECT toUnixTimestamp64Nano(at) FROM t") == 1795435200123456789


@pytest.mark.parametrize(
    "hostile", ["'; DROP TABLE t; --", "\\'", "{x:String}", "\x00\n\t\\N", "' OR 1=1", "ключ😀"]
)
def test_a_parameter_stays_data(client: Client, hostile: str) -> None:
    client.command("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s")
    client.command("INSERT INTO t SELECT {value:String}", parameters={"value": hostile})
    assert rows(client, "SELECT s FROM t WHERE s = {value:String}", value=hostile) == [(hostile,)]
    assert rows(client, "SELECT s FROM t WHERE s IN {values:Array(String)}", values=[hostile, "other"]) == [
        (hostile,)
    ]


def test_identifiers_and_many_parameters(client: Client) -> None:
    assert rows(client, "SELECT {n:UInt64} + 1 AS {name:Identifier}", n=2**63, name="x y") == [(2**63 + 1,)]
    many = list(range(20_000))  # too much for a URL: clickhouse-connect sends it as a form
    assert rows(client, "SELECT length({many:Array(UInt32)})", many=many) == [(20_000,)]


def test_two_statements_are_refused(client: Client) -> None:
    with pytest.raises(DatabaseError, match="Code: 62"):
        client.command("SELECT 1; SELECT 2")
    assert client.command("SELECT 1 ; -- the end") == 1


def test_a_replaced_row_is_gone_under_final(client: Client) -> None:
    client.command(
        "CREATE TABLE t (id UInt64, v UInt64, s String) ENGINE = ReplacingMergeTree(v) ORDER BY id"
    )
    for version, text in ((1, "old"), (3, "new"), (2, "late")):
        client.insert("t", [(7, version, text)], settings=BATCH)
    assert rows(client, "SELECT s FROM t FINAL") == [("new",)]


def test_a_token_makes_an_insert_happen_once_in_table_and_view(client: Client) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 100"
    client.command(f"CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n {window}")
    client.command(f"CREATE TABLE sums (n UInt64) ENGINE = SummingMergeTree ORDER BY tuple() {window}")
    client.command("CREATE MATERIALIZED VIEW to_sums TO sums AS SELECT sum(n) AS n FROM t")
    for token in ("a", "a", "b"):
        client.insert(
            "t", [(1,), (2,)], column_names=["n"], settings=BATCH | {"insert_deduplication_token": token}
        )
    assert rows(client, "SELECT count(), sum(n) FROM t") == [(4, 6)]
    assert client.command("SELECT sum(n) FROM sums") == 6


def test_protobuf_lands_through_a_null_table_once(client: Client) -> None:
    client.command("CREATE TABLE landing (name String, scores Array(UInt64)) ENGINE = Null")
    client.command(
        "CREATE TABLE people (name String, best UInt64) ENGINE = MergeTree ORDER BY name"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    client.command(
        "CREATE MATERIALIZED VIEW v TO people AS SELECT name, arrayMax(scores) AS best FROM landing"
    )
    person = b"\x0a\x05\n;-- " + b"\x12\x02\x0a\x3b"  # a name made of what SQL would trim, scores 10 and 59
    settings = BATCH | {
        "format_schema_source": "string",
        "format_schema": PERSON,
        "format_schema_message_name": "Person",
        "insert_deduplication_token": "otlp_spans:0:1-2",
    }
    for _ in range(2):
        block = (bytes([len(person)]) + person) * 2
        client.raw_insert("landing", insert_block=block, fmt="Protobuf", settings=settings)
    assert rows(client, "SELECT name, best FROM people") == [("\n;-- ", 59)] * 2


@pytest.mark.parametrize("codec", [None, "lz4", "zstd", "gzip"])
def test_binary_data_passes_byte_for_byte(url: str, database: str, codec: str | None) -> None:
    texts = [
        bytes([n]) + tail for n in range(256) for tail in (b";", b"\n\n", b" -- x", b"/*", b"'", b"\x00")
    ]
    with clickhouse_connect.get_client(dsn=url, database=database, compress=codec or False) as client:
        client.command("CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
        client.insert("t", list(enumerate(texts)), column_names=["n", "s"], settings=BATCH)
        got = client.query("SELECT s FROM t ORDER BY n", query_formats={"String": "bytes"}).result_columns[0]
    assert list(got) == texts


def test_json_rows_in_and_out(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
    lines = "\n".join(json.dumps({"n": n, "s": f"line {n}\n;"}) for n in range(3))
    client.raw_insert("t", insert_block=lines, fmt="JSONEachRow", settings=BATCH, compression=None)
    out = client.raw_query("SELECT * FROM t ORDER BY n", fmt="JSONEachRow").decode()
    assert [json.loads(line) for line in out.splitlines()] == [json.loads(line) for line in lines.split("\n")]


def test_values_take_expressions_and_parameters(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
    client.command("INSERT INTO t VALUES (1, 'a;b'), (1 + 1, {s:String});", parameters={"s": "it's"})
    assert rows(client, "SELECT * FROM t ORDER BY n") == [(1, "a;b"), (2, "it's")]


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
        ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT throwIf(number = 3, 'too far') FROM numbers(10)", 395, "too far"),
        ("SELECT {missing:String}", 456, "UNKNOWN_QUERY_PARAMETER"),
        ("INSERT INTO nowhere VALUES (1)", 60, "UNKNOWN_TABLE"),
        ("SELECT 1 SETTINGS max_thread = 1", 115, "max_threads"),
    ],
)
def test_a_bad_query_gets_the_engines_own_error(client: Client, query: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError, match=rf"(?s)Code: {code}\..*{name}"):
        client.command(query)


def test_bad_data_is_refused_whole(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
    with pytest.raises(DatabaseError, match="CANNOT_PARSE"):
        client.raw_insert("t", insert_block='{"n": 1}\n{"n": "x"}', fmt="JSONEachRow", settings=BATCH)
    with pytest.raises(DatabaseError):
        client.command("SELECT count() FROM nothing.t")
    assert client.command("SELECT count() FROM t") == 0


def test_a_setting_lasts_for_its_query_alone(client: Client) -> None:
    assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 3}) == 3
    with pytest.raises(DatabaseError, match="TIMEOUT_EXCEEDED"):
        client.command(
            "SELECT count() FROM system.numbers",
            settings={"max_execution_time": 1, "timeout_before_checking_execution_speed": 0},
        )
    assert rows(client, "SELECT getSetting('max_execution_time') AS s") != [(1,)]


def test_a_setting_may_be_as_long_as_a_schema(client: Client) -> None:
    comment = "/* message */ " * 5000
    assert client.command(
        "SELECT length(getSetting('log_comment'))", settings={"log_comment": comment}
    ) == len(comment)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_a_statement_may_end_in_the_body(client: Client, url: str, database: str) -> None:
    client.command("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
    for query, body in (
        ("INSERT INTO t", "VALUES (1)"),
        ("INSERT INTO t VALUES", "(2)"),
        ("SELECT 3", "+ 4"),
    ):
        target = f"{url}/?database={database}&query={quote(query)}"
        done = subprocess.run(["curl", "-sS", target, "-d", body], capture_output=True, text=True, check=True)
        assert done.stdout == ("7\n" if query == "SELECT 3" else "")
    assert rows(client, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_reads_and_may_not_write_with_get(url: str, database: str) -> None:
    def curl(*arguments: str) -> str:
        return subprocess.run(["curl", "-s", *arguments], capture_output=True, text=True, check=True).stdout

    assert curl(f"{url}/ping") == "Ok.\n"
    assert (
        curl(f"{url}/?database={database}", "-d", "SELECT currentDatabase() FORMAT CSV") == f'"{database}"\n'
    )
    assert curl(f"{url}/?query=SELECT%20%7Bn:UInt8%7D&param_n=5", "-u", "default:") == "5\n"
    assert "READONLY" in curl(f"{url}/?query=CREATE%20DATABASE%20never")


async def test_eight_clients_at_once(url: str, database: str, aclient: AsyncClient) -> None:
    await aclient.command("CREATE TABLE t (writer UInt8, n UInt32) ENGINE = MergeTree ORDER BY (writer, n)")

    async def work(writer: int) -> None:
        async with await clickhouse_connect.get_async_client(dsn=url, database=database) as client:
            for batch in range(5):
                data = [(writer, batch * 100 + n) for n in range(100)]
                await client.insert("t", data, column_names=["writer", "n"], settings=BATCH)
                found = await client.query(
                    "SELECT count() FROM t WHERE writer = {w:UInt8}", parameters={"w": writer}
                )
                assert found.first_row == ((batch + 1) * 100,)

    await asyncio.gather(*map(work, range(8)))
    assert await aclient.command("SELECT count() FROM t") == 4000


async def test_slow_queries_do_not_queue_up(url: str) -> None:
    async with await clickhouse_connect.get_async_client(dsn=url, autogenerate_session_id=False) as client:
        began = time.monotonic()
        await asyncio.gather(*[client.query("SELECT sleep(2)") for _ in range(8)])
    assert time.monotonic() - began < 15  # one after the other takes at least sixteen


def test_an_insert_of_50_mb(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
    columns: list[list[Any]] = [list(range(50_000)), [f"{n:010d}" * 100 for n in range(50_000)]]
    client.insert("t", columns, column_names=["n", "s"], column_oriented=True, settings=BATCH)
    assert rows(client, "SELECT count(), sum(length(s)), max(s) FROM t") == [
        (50_000, 50_000_000, "0000049999" * 100)
    ]


@pytest.mark.parametrize("behind", ["constraint", "view"])
def test_what_fails_behind_an_insert_fails_the_insert(
    client: Client, url: str, database: str, behind: str
) -> None:
    client.command("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
    if behind == "constraint":
        client.command("ALTER TABLE t ADD CONSTRAINT most CHECK n < 100")
    client.command("CREATE TABLE landing (n UInt32) ENGINE = Null")
    client.command("CREATE MATERIALIZED VIEW v TO t AS SELECT n + throwIf(n >= 100) AS n FROM landing")
    into = "landing" if behind == "view" else "t"

    def insert(number: int) -> str:
        with clickhouse_connect.get_client(dsn=url, database=database) as one:
            try:
                one.raw_insert(into, insert_block=f"{number}\n".encode(), settings=BATCH, fmt="TSV")
            except DatabaseError as error:
                return str(error)
            return ""

    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(insert, [*range(100, 140), *range(5)]))
    code = {"constraint": "Code: 469", "view": "Code: 395"}[behind]
    assert all(code in each for each in said[:40])
    stored = {n for (n,) in rows(client, "SELECT n FROM t")}
    assert stored >= {n for n, each in enumerate(said[40:]) if not each}
    assert max(stored) < 100


def test_a_client_that_goes_away_changes_nothing(client: Client, url: str, database: str) -> None:
    client.command("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
    parts = urlsplit(url)
    target = f"/?database={database}&query=INSERT+INTO+t+FORMAT+TSV"
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as one:
        one.sendall(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n1\n2\n".encode())
    assert client.command("SELECT count() FROM t") == 0


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_acknowledged_survives_an_end_in_the_middle(tmp_path: Path, end: str) -> None:
    server, acknowledged, enough = Chdb(tmp_path), list[int](), threading.Event()
    server.start()
    with clickhouse_connect.get_client(dsn=server.url) as client:
        client.command("CREATE DATABASE kept ENGINE = Atomic")
        client.command("CREATE TABLE kept.t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")

    def write(writer: int) -> None:
        with clickhouse_connect.get_client(dsn=server.url) as client, suppress(ClickHouseError):
            for batch in itertools.count(writer * 10_000):
                block = [(batch * 10 + n, "x" * 1000) for n in range(10)]
                client.insert("kept.t", block, column_names=["n", "s"], settings=BATCH)
                acknowledged.append(batch)
                if len(acknowledged) == 60:
                    enough.set()

    with ThreadPoolExecutor() as threads:
        writers = [threads.submit(write, writer) for writer in range(3)]
        assert enough.wait(20)
        getattr(server, end)()
    for writer in writers:
        writer.result()
    server.start()
    with clickhouse_connect.get_client(dsn=server.url) as client:
        found = dict(rows(client, "SELECT intDiv(n, 10), count() FROM kept.t GROUP BY 1"))
    assert server.stop() == 0
    assert set(acknowledged) <= set(found)
    assert set(found.values()) == {10}


def test_one_directory_has_one_server(tmp_path: Path) -> None:
    first, second = Chdb(tmp_path), Chdb(tmp_path)
    first.start()
    try:
        with pytest.raises(pytest.fail.Exception, match="cannot serve"):
            second.start()
    finally:
        first.stop()
