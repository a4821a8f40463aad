"""What chDB does not say: an insert whose rows were parsed, and then not stored.

`send_insert` reports what is wrong with the data, and ends well when a view, a constraint, the memory or the
disk fails behind it. The engine counts all errors (system.errors) and names the query of the last of a kind.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import chdb

_SQL = (
    "SELECT code, remote, value, query_id = queryID() AS ours, last_error_message AS said"
    " FROM system.errors FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0"
)
# Errors of a function, of opening, reading and writing files, memory, space, parts, threads, a constraint.
_OF_MANY = frozenset({395, 74, 75, 76, 241, 243, 252, 439, 469})


@dataclass(frozen=True, slots=True)
class Failure:
    """How often an error happened; whether the last time was in the insert before this question."""

    count: int
    ours: bool
    said: str


def failures(connection: Any) -> dict[tuple[int, int], Failure]:
    """All errors since the engine began. A connection goes by the id of its last insert."""
    lines = connection.query(_SQL).bytes().decode("utf-8", "replace").splitlines()
    rows = [json.loads(line) for line in lines]
    return {(r["code"], r["remote"]): Failure(r["value"], bool(r["ours"]), r["said"]) for r in rows}


def raise_swallowed(
    before: Mapping[tuple[int, int], Failure], after: Mapping[tuple[int, int], Failure]
) -> None:
    """Raise what an insert between the two has met.

    Where others had the same error at the same time, only the last is named, and ours may be one of them.
    With what strikes many at once it counts as ours: what was stored all the same is recognised when it comes
    again.

    Raises:
        ChdbError: as the engine would have said it.
    """
    for key, failure in after.items():
        times = failure.count - (before[key].count if key in before else 0)
        if times and (failure.ours or (times > 1 and key[0] in _OF_MANY)):
            raise chdb.ChdbError(f"Code: {key[0]}. DB::Exception: {failure.said}")
