"""One chDB engine, asked by many threads: each request gets a connection of its own.

A connection costs under a millisecond, and settings made on it die with it, so one client's settings never
reach another's query. The engine lives as long as its first connection.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import chdb

from outerloop.dev.clickhouse import native
from outerloop.dev.clickhouse.statement import MultipleStatementsError, Statement, parse
from outerloop.dev.clickhouse.swallowed import failures, raise_swallowed

SYNTAX_ERROR, UNKNOWN_SETTING, NOT_IMPLEMENTED, UNKNOWN_EXCEPTION = 62, 115, 48, 1002
_ERROR = re.compile(r"Code: (?P<code>\d+)\. .*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class EngineError(Exception):
    """The engine refused a query. `code` is ClickHouse's error code, the text is the engine's own."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Query:
    """One query as HTTP brings it.

    Attributes:
        text: SQL, followed by the data of an INSERT unless that is apart.
        data: what follows the text.
        database: the database of unqualified names; empty for the engine's default.
        settings: name to value, for this query alone.
        parameters: name (without `param_`) to value, escaped as ClickHouse's HTTP interface wants it.
        default_format: the answer's format where the SQL names none.
        readonly: refuse all that writes, as ClickHouse does on GET.
        protocol: the version in whose form a Native answer is read.
    """

    text: bytes
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    default_format: str = "TabSeparated"
    readonly: bool = False
    data: bytes | memoryview = b""
    protocol: int = 0


@dataclass(frozen=True)
class Answer:
    """The result: its bytes, their format, and counts of rows and bytes read and written."""

    body: bytes
    output_format: str
    summary: Mapping[str, str]


class Engine:
    """A chDB engine with its data in `path`. Its methods block, and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._keeps_open = chdb.connect(self._path)
        facts = self._keeps_open.query("SELECT version(), timezone(), hostName()", "TabSeparated").bytes()
        self.version, self.timezone, self.host = facts.decode().strip().split("\t")

    def run(self, query: Query) -> Answer:
        """Runs one statement to its end.

        Raises:
            EngineError: the statement is wrong, or failed.
        """
        try:
            statement = parse(query.text, query.data)
            connection = chdb.connect(self._path)
            try:
                self._prepare(connection, query, with_parameters=statement.input_format is not None)
                return _framed(_execute(connection, statement, query), query.protocol)
            finally:
                connection.close()
        except MultipleStatementsError:
            raise self._error(
                "Syntax error (Multi-statements are not allowed)", SYNTAX_ERROR, "SYNTAX_ERROR"
            ) from None
        except native.UnknownTypeError as error:
            message = f"an answer with {error} in Native for clickhouse-go is for a ClickHouse server"
            raise self._error(message, NOT_IMPLEMENTED, "NOT_IMPLEMENTED") from None
        except (
            chdb.ChdbError,
            RuntimeError,
        ) as error:  # a statement's failure; streaming raises the plain one
            raise self._translated(str(error)) from error

    def close(self) -> None:
        """Flushes and closes the engine. No other thread may be running a query."""
        self._keeps_open.close()

    def _prepare(self, connection: Any, query: Query, *, with_parameters: bool) -> None:
        if query.database:
            name = query.database.replace("\\", "\\\\").replace("`", "\\`")
            connection.query(f"USE `{name}`")
        settings = dict(query.settings)
        if with_parameters:  # `send_insert` takes no parameters, the connection does
            settings |= {f"param_{name}": value for name, value in query.parameters.items()}
        if query.readonly:
            settings["readonly"] = "2"
        for name in settings:
            if not _NAME.fullmatch(name):
                raise self._error(f"Unknown setting '{name}'", UNKNOWN_SETTING, "UNKNOWN_SETTING")
        if settings:
            connection.query(
                "SET " + ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
            )

    def _translated(self, message: str) -> EngineError:
        found = _ERROR.search(message)
        if found is None:
            if "does not support INSERT ... SELECT" in message:
                message = "INSERT ... SELECT FROM input() is for a server: insert into an ENGINE = Null table"
                return self._error(message, NOT_IMPLEMENTED, "NOT_IMPLEMENTED")
            return self._error(message, UNKNOWN_EXCEPTION, "UNKNOWN_EXCEPTION")
        text = found.group()
        return EngineError(
            text if "(version " in text else f"{text} (version {self.version})", int(found["code"])
        )

    def _error(self, message: str, code: int, name: str) -> EngineError:
        return EngineError(f"Code: {code}. DB::Exception: {message}. ({name}) (version {self.version})", code)


def _execute(connection: Any, statement: Statement, query: Query) -> Answer:
    output_format = statement.output_format or query.default_format
    if statement.input_format is not None:
        before = failures(connection)
        inserter = connection.send_insert(statement.sql, format=statement.input_format)
        if statement.payload:
            inserter.append(statement.payload)
        written = inserter.finish()
        raise_swallowed(before, failures(connection))
        return Answer(b"", output_format, _summary(0, 0, written.rows_written, written.bytes_written))
    result = connection.query(statement.sql, query.default_format, params=dict(query.parameters))
    read = (result.storage_rows_read(), result.storage_bytes_read())
    return Answer(
        result.bytes(), output_format, _summary(*read, result.rows_written(), result.bytes_written())
    )


def _framed(answer: Answer, protocol: int) -> Answer:
    if answer.output_format != "Native" or protocol < native.FRAMED_SINCE:
        return answer
    return replace(answer, body=native.framed(answer.body))


def _summary(read_rows: int, read_bytes: int, written_rows: int, written_bytes: int) -> dict[str, str]:
    return {
        "read_rows": str(read_rows),
        "read_bytes": str(read_bytes),
        "written_rows": str(written_rows),
        "written_bytes": str(written_bytes),
    }


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
