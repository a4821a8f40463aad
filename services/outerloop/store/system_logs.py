"""ClickHouse's own log tables, which fill the disk unless they are told how long to keep rows."""

from clickhouse_connect.driver.exceptions import DatabaseError

from outerloop.runtime.clickhouse import ClickHouse

_ACCESS_DENIED = 497
_WITHOUT_TTL = """
SELECT name FROM system.tables
WHERE database = {database:String} AND name LIKE '%\\\\_log' AND engine LIKE '%MergeTree'
  AND create_table_query NOT LIKE '% TTL %'
  AND (database, name) IN (SELECT database, table FROM system.columns WHERE name = 'event_date')
ORDER BY name
"""


async def limit(db: ClickHouse, days: int, database: str = "system") -> tuple[list[str], list[str]]:
    """Have log tables that keep everything keep so many days (0: all); those done, those we may not alter."""
    done: list[str] = []
    refused: list[str] = []
    for row in await db.query(_WITHOUT_TTL, database=database) if days else ():
        table = f"{database}.{row['name']}"
        try:
            await db.command(f"ALTER TABLE {table} MODIFY TTL event_date + INTERVAL {days:d} DAY")
        except DatabaseError as error:
            if error.code != _ACCESS_DENIED:
                raise
            refused.append(table)
        else:
            done.append(table)
    return done, refused
