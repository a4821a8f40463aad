"""ClickHouse: one module a table, with its writer named; migrations are plain SQL beside it."""
