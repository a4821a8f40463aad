"""ClickHouse over HTTP, with an outage told apart from a wrong query."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import clickhouse_connect
import cramjam
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.settings import Settings

_AWAY = (OperationalError, aiohttp.ClientError, ConnectionError, asyncio.TimeoutError, OSError)
# Error codes of ClickHouse that say nothing of the query: it will do, later.
_BUSY = {
    159: "is too slow at the moment (TIMEOUT_EXCEEDED)",
    202: "runs too many queries (TOO_MANY_SIMULTANEOUS_QUERIES)",
    209: "waits in vain for another server (SOCKET_TIMEOUT)",
    210: "does not reach another server (NETWORK_ERROR)",
    241: "has no memory left (MEMORY_LIMIT_EXCEEDED)",
    242: "has lost its Keeper, so the table is read-only (TABLE_IS_READ_ONLY)",
    243: "has no space left (NOT_ENOUGH_SPACE)",
    252: "merges slower than we insert (TOO_MANY_PARTS)",
    279: "does not reach another server (ALL_CONNECTION_TRIES_FAILED)",
    394: "was told to stop the query (QUERY_WAS_CANCELLED)",
    439: "has no thread left (CANNOT_SCHEDULE_TASK)",
    999: "does not get on with its Keeper (KEEPER_EXCEPTION)",
}
_UNKNOWN_TABLE, _UNKNOWN_DATABASE = 60, 81
_INSERT = {
    # A batching writer must not be acknowledged before its rows are stored; the engine's default is not so.
    "async_insert": 0,
    # Spans of a hundred months in one batch would be refused as TOO_MANY_PARTS, and waited for in vain.
    "max_partitions_per_insert_block": 0,
}


# A server that hangs, or a network that swallows everything, is away too, and health shall say so. What was
# inserted all the same is recognised when it comes again.
_INSERT_SECONDS = 60.0


class NotMigratedError(OutageError, UserError):
    """The schema is not there (yet): a service waits for it, and a person is told how to make it."""


class ClickHouse:
    """A client of one database. Queries give rows as dicts; every method may raise OutageError."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.clickhouse
        self.database = settings.clickhouse_database
        self._options = settings.clickhouse_options()
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()
        # By table and columns: the driver would ask for them before each insert.
        self._types: dict[tuple[str, ...], Sequence[ClickHouseType]] = {}

    async def query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a SELECT; `{name:Type}` in the SQL takes parameters. Anything but reading is refused."""
        client = await self._connected()
        with self._errors():
            result = await client.query(
                sql,
                parameters=parameters,
                settings={"readonly": 2},
                # Aware: a naive time would be taken for local time when it is inserted again.
                tz_mode="aware",
            )
        return list(result.named_results())

    async def command(self, sql: str, **parameters: Any) -> None:
        """Run a statement that returns no rows; parameters as in `query`."""
        client = await self._connected()
        with self._errors():
            await client.command(sql, parameters=parameters)

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, token: str = "") -> None:
        """Insert rows that share their columns; returns when they are stored.

        `token` deduplicates a repeat of the same insert where the table has a deduplication window.
        """
        if not rows:
            return
        client = await self._connected()
        columns = list(rows[0])
        settings: dict[str, Any] = _INSERT | ({"insert_deduplication_token": token} if token else {})
        key, data = (table, *columns), [list(r.values()) for r in rows]
        with self._errors():
            # Taken out, and put back when they served: a table that was altered is asked about again.
            types = self._types.pop(key, None)
            async with asyncio.timeout(_INSERT_SECONDS):
                context = await client.create_insert_context(
                    table, columns, column_types=types, data=data, settings=settings
                )
                await client.data_insert(context)
        self._types[key] = context.column_types

    async def insert_raw(
        self, table: str, data: bytes, form: str, *, token: str = "", **settings: str | int
    ) -> None:
        """Insert bytes that ClickHouse parses by itself, in one of its formats; otherwise as `insert`."""
        client = await self._connected()
        said: dict[str, Any] = _INSERT | settings | ({"insert_deduplication_token": token} if token else {})
        # Even on one host: to compress and decompress costs less than a socket and the copies around it.
        packed = bytes(cramjam.zstd.compress(data, level=1))
        with self._errors():
            async with asyncio.timeout(_INSERT_SECONDS):
                await client.raw_insert(
                    table, insert_block=packed, settings=said, fmt=form, compression="zstd"
                )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                with self._errors():
                    self._client = await clickhouse_connect.get_async_client(
                        dsn=self.url, database=self.database, autogenerate_session_id=False, **self._options
                    )
            return self._client

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What the driver raises, as our errors; a query that is wrong stays a DatabaseError."""
        try:
            yield
        except (DatabaseError, *_AWAY) as error:
            code = error.code if isinstance(error, DatabaseError) else None
            if code == _UNKNOWN_DATABASE:
                raise NotMigratedError(
                    f"ClickHouse at {self.url} has no database {self.database}: "
                    "run `outerloop migrate` first, or set OUTERLOOP_CLICKHOUSE_DATABASE"
                ) from error
            if code == _UNKNOWN_TABLE:
                raise NotMigratedError(
                    f"{self.database} in ClickHouse at {self.url} lacks a table; "
                    f"if it is one of ours, run `outerloop migrate` first: {error}"
                ) from error
            if code in _BUSY:
                raise OutageError(f"ClickHouse at {self.url} {_BUSY[code]}: {error}") from error
            if isinstance(error, _AWAY):
                said = str(error) or f"no insert has ended for {_INSERT_SECONDS:g} s"
                raise OutageError(
                    f"ClickHouse at {self.url} does not answer (OUTERLOOP_CLICKHOUSE): {said}"
                ) from error
            raise
