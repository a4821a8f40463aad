"""Tables modes and mode_states: named groups of failures with one cause, and their life. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from outerloop.runtime.clickhouse import ClickHouse


class State(StrEnum):
    """How far a mode is."""

    OPEN = "open"
    DRAFTING = "drafting"
    PROPOSED = "proposed"
    CLOSED = "closed"
    REGRESSED = "regressed"
    PARKED = "parked"  # the loop gave it up; it waits for a person
    MERGED = "merged"  # by a person: its failures are another mode's
    # Beside the life of a mode, which goes on below them: whether the loop shall work on it.
    MUTED = "muted"
    UNMUTED = "unmuted"


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode; `mode_id` follows from agent and fingerprint. `gravity`: how grave its kind is."""

    mode_id: str
    agent: str
    title: str
    fingerprint: str
    kind: str
    opened_at: datetime
    description: str = ""
    gravity: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The last step of a mode's life: a state, why, and since when."""

    state: State
    detail: str
    at: datetime


async def insert(db: ClickHouse, mode: Mode) -> None:
    """Store a mode; the same mode again changes nothing but the time."""
    await db.insert("modes", [asdict(mode)])


async def known(db: ClickHouse, mode_ids: Sequence[str]) -> set[str]:
    """Those of these modes that have a row."""
    rows = await db.query(
        "SELECT mode_id FROM modes WHERE mode_id IN {modes:Array(String)}", modes=list(mode_ids)
    )
    return {row["mode_id"] for row in rows}


async def get(db: ClickHouse, mode_id: str) -> Mode | None:
    """One mode."""
    rows = await db.query("SELECT * FROM modes FINAL WHERE mode_id = {mode:String}", mode=mode_id)
    return Mode(**rows[0]) if rows else None


async def enter(
    db: ClickHouse, mode_id: str, state: State, cause: str, *, at: datetime, detail: str = ""
) -> None:
    """Record that a mode reached a state `at` a time; the same cause again is the same step.

    Steps may be recorded in any order: the latest by `at` is the mode's state. One that is there already is
    left as it is, so that an event that is sent again, with a later time, changes nothing.
    """
    seen = await db.query(
        "SELECT 1 AS one FROM mode_states WHERE mode_id = {mode:String} AND state = {state:String}"
        " AND cause = {cause:String} LIMIT 1",
        mode=mode_id,
        state=state.value,
        cause=cause,
    )
    if not seen:
        row = {"mode_id": mode_id, "state": state.value, "cause": cause, "detail": detail, "at": at}
        await db.insert("mode_states", [row])


async def latest(db: ClickHouse, mode_ids: Sequence[str]) -> dict[str, Step]:
    """The last step of each of these modes that was opened, as the view failure_modes has it."""
    rows = await db.query(
        "SELECT mode_id, argMax((state, detail, at), (at, indexOf(['open', 'drafting', 'proposed', 'parked',"
        " 'closed', 'regressed', 'merged'], state))) AS step, step.1 AS state_now, step.2 AS why,"
        " step.3 AS since FROM mode_states FINAL WHERE mode_id IN {modes:Array(String)}"
        " AND state NOT IN ('muted', 'unmuted') GROUP BY mode_id",
        modes=list(mode_ids),
    )
    return {row["mode_id"]: Step(State(row["state_now"]), row["why"], row["since"]) for row in rows}


async def opened(db: ClickHouse, mode_ids: Sequence[str]) -> set[str]:
    """Those of these modes that have been opened, whatever became of them."""
    rows = await db.query(
        "SELECT DISTINCT mode_id FROM mode_states WHERE mode_id IN {modes:Array(String)}"
        " AND state NOT IN ('muted', 'unmuted')",
        modes=list(mode_ids),
    )
    return {row["mode_id"] for row in rows}


async def muted(db: ClickHouse, mode_ids: Sequence[str]) -> set[str]:
    """Those of these modes that a person has muted."""
    rows = await db.query(
        "SELECT mode_id FROM mode_states FINAL WHERE mode_id IN {modes:Array(String)}"
        " AND state IN ('muted', 'unmuted') GROUP BY mode_id HAVING argMax(state, at) = 'muted'",
        modes=list(mode_ids),
    )
    return {row["mode_id"] for row in rows}
