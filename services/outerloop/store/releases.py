"""Tables releases, release_findings and reopenings: what production shows of what shipped. Writer: gate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse


class State(StrEnum):
    """How a release stands."""

    WATCHING = "watching"
    CLOSED = "confirmed closed"
    REGRESSED = "regressed"
    ROLLED_BACK = "rolled back"
    ROLLBACK_ASKED = "rollback asked"
    WATCHED = "watched"  # nothing was proven in all the time
    TOO_FEW = "not enough traces"
    SUPERSEDED = "superseded"  # a later release is of the same mode
    GONE = "not on the branch"  # somebody took it off


@dataclass(frozen=True, slots=True)
class Shipped:
    """A change that is on the release branch, from its decision."""

    decision_id: str
    change_id: str
    agent: str
    mode_id: str
    eval_id: str
    commit: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release and its rates; `before` is (traces, failures) by measure. See the migration."""

    decision_id: str
    agent: str
    mode_id: str
    eval_id: str
    shipped_commit: str
    released_at: datetime
    state: State
    bar: float
    before: Mapping[str, tuple[int, int]]
    slow_ns: int
    tokens_many: int
    said_seconds: int
    detectors: tuple[str, ...]
    evaluators: tuple[str, ...]
    traces: int
    failures: int
    looked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecord:
    """Something proven of a release, or done about it; `finding` is the contract's name, in lower case."""

    decision_id: str
    agent: str
    mode_id: str
    eval_id: str
    shipped_commit: str
    finding: str
    subject: str
    reason: str
    traces: int
    failures: int
    rollback_commit: str
    found_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopening:
    """A closed eval that is work again. `cause` names what brought it; `passed` of `trials` show it."""

    cause: str
    agent: str
    eval_id: str
    mode_id: str
    commit: str
    reason: str
    passed: int
    trials: int
    at: datetime


async def shipped(db: ClickHouse, agent: str) -> list[Shipped]:
    """What was shipped for an agent ("": for any), the oldest first."""
    rows = await db.query(
        "SELECT decision_id, change_id, agent, mode_id, eval_id, shipped_commit AS commit, at"
        " FROM decisions FINAL WHERE verdict = 'ship' AND shipped_commit != ''"
        " AND ({agent:String} = '' OR agent = {agent:String}) ORDER BY at, decision_id",
        agent=agent,
    )
    return [Shipped(**row) for row in rows]


async def of_agent(db: ClickHouse, agent: str) -> dict[str, Release]:
    """The releases of an agent ("": of any) that have been looked at, by decision."""
    rows = await db.query(
        "SELECT * FROM releases FINAL WHERE {agent:String} = '' OR agent = {agent:String}", agent=agent
    )
    return {row["decision_id"]: _release(row) for row in rows}


async def insert(db: ClickHouse, release: Release) -> None:
    """Store how a release stands; a later look replaces an earlier one."""
    before = [(name, *counts) for name, counts in release.before.items()]
    lists = {"detectors": list(release.detectors), "evaluators": list(release.evaluators)}
    await db.insert("releases", [asdict(release) | {"before": before} | lists])


async def findings(db: ClickHouse, agent: str) -> dict[str, dict[str, FindingRecord]]:
    """What was found of the releases of an agent ("": of any): decision -> finding -> record."""
    rows = await db.query(
        "SELECT * FROM release_findings FINAL WHERE {agent:String} = '' OR agent = {agent:String}"
        " ORDER BY found_at",
        agent=agent,
    )
    found: dict[str, dict[str, FindingRecord]] = {}
    for row in rows:
        found.setdefault(row["decision_id"], {})[row["finding"]] = FindingRecord(**row)
    return found


async def insert_finding(db: ClickHouse, finding: FindingRecord) -> None:
    """Store a finding whose event is out."""
    await db.insert("release_findings", [asdict(finding)])


async def reopen(db: ClickHouse, reopening: Reopening) -> Reopening:
    """Store a reopening, once: what is there already for its cause is left, and given back."""
    rows = await db.query(
        "SELECT * FROM reopenings FINAL WHERE agent = {agent:String} AND eval_id = {eval_id:String}"
        " AND cause = {cause:String}",
        agent=reopening.agent,
        eval_id=reopening.eval_id,
        cause=reopening.cause,
    )
    if rows:
        return Reopening(**rows[0])
    await db.insert("reopenings", [asdict(reopening)])
    return reopening


async def reopenings(db: ClickHouse, agent: str) -> list[Reopening]:
    """Every time that an eval of an agent was reopened, the oldest first."""
    rows = await db.query(
        "SELECT * FROM reopenings FINAL WHERE agent = {agent:String} ORDER BY at, cause", agent=agent
    )
    return [Reopening(**row) for row in rows]


async def reopened(db: ClickHouse, agent: str) -> dict[str, Reopening]:
    """The evals of an agent that were ever reopened: eval -> the last time.

    It is open still if nothing has shipped for it since.
    """
    return {each.eval_id: each for each in await reopenings(db, agent)}


async def closed(db: ClickHouse, agent: str) -> dict[str, datetime]:
    """The evals of an agent that are closed: eval -> when the last change for it shipped."""
    again = await reopened(db, agent)
    latest = {each.eval_id: each.at for each in await shipped(db, agent)}
    return {e: at for e, at in latest.items() if e not in again or again[e].at <= at}


def _release(row: Mapping[str, Any]) -> Release:
    values = dict(row)
    tuples = [tuple(each.values()) if isinstance(each, dict) else tuple(each) for each in values["before"]]
    before = {name: (traces, failures) for name, traces, failures in tuples}
    values |= {"before": before, "state": State(values["state"])}
    values |= {name: tuple(values[name]) for name in ("detectors", "evaluators")}
    return Release(**values)
