"""Table trials: every run of an agent that the gate has made. Writer: gate."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One run of the agent on one eval.

    `decision_id` is the series that it counts for, `number` its place there, from 0, within the eval.
    `subject` is candidate or base; `variant` the held-out variant that was drawn, 0 for the eval itself.
    Of `tool_calls`, so many `divergences` were not in the recording. `grader` is the version of what graded
    it (0: before it was kept).
    """

    trial_id: str
    decision_id: str
    subject: str
    agent: str
    eval_id: str
    number: int
    variant: int
    passed: bool
    reasons: tuple[str, ...]
    answer: str
    model_calls: int
    models: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    divergences: int
    seconds: float
    at: datetime
    tool_calls: int = 0
    grader: int = 0


async def insert(db: ClickHouse, trials: Sequence[TrialRecord], *, token: str = "") -> None:
    """Store trials; the same trial again replaces itself, but with a `token` that was used is left out."""
    lists = [{"reasons": list(t.reasons), "models": list(t.models)} for t in trials]
    rows = [asdict(t) | those for t, those in zip(trials, lists, strict=True)]
    await db.insert("trials", rows, token=token)


async def keep(db: ClickHouse, record: TrialRecord) -> TrialRecord:
    """Store a trial unless its place is taken; gives the one that is there.

    When two are stored at the same moment, the table's deduplication window lets the first stay.
    """
    there = await get(db, record.decision_id, record.eval_id, record.number)
    return there or await first(db, record)


async def first(db: ClickHouse, record: TrialRecord) -> TrialRecord:
    """Store a trial whose place was free when it began; gives the one that stays (see `keep`)."""
    await insert(db, [record], token=record.trial_id)
    # Of the row itself only what tells it from another's: a look at every column is dear.
    place = {"series": record.decision_id, "eval": record.eval_id, "number": record.number}
    rows = await db.query(
        "SELECT at FROM trials WHERE decision_id = {series:String} AND eval_id = {eval:String}"
        " AND number = {number:UInt32}",
        **place,
    )
    if [row["at"] for row in rows] == [_stored(record.at)]:
        return record
    return await get(db, record.decision_id, record.eval_id, record.number) or record


def _stored(at: datetime) -> datetime:
    """As the table keeps it: to the millisecond."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


async def of_series(db: ClickHouse, series: str) -> list[TrialRecord]:
    """The trials of a series, by eval and number."""
    rows = await db.query(
        "SELECT * FROM trials FINAL WHERE decision_id = {series:String} ORDER BY eval_id, number",
        series=series,
    )
    return [_record(row) for row in rows]


async def get(db: ClickHouse, series: str, eval_id: str, number: int) -> TrialRecord | None:
    """One trial."""
    rows = await db.query(
        "SELECT * FROM trials FINAL WHERE decision_id = {series:String} AND eval_id = {eval:String}"
        " AND number = {number:UInt32}",
        series=series,
        eval=eval_id,
        number=number,
    )
    return _record(rows[0]) if rows else None


async def found(db: ClickHouse, series: Collection[str], trial_ids: Collection[str]) -> list[TrialRecord]:
    """Which of these trials, of these series, are on record."""
    rows = await db.query(
        "SELECT * FROM trials FINAL WHERE decision_id IN {series:Array(String)}"
        " AND trial_id IN {ids:Array(String)}",
        series=sorted(series),
        ids=sorted(trial_ids),
    )
    return [_record(row) for row in rows]


def _record(row: dict[str, Any]) -> TrialRecord:
    return TrialRecord(**row | {name: tuple(row[name]) for name in ("reasons", "models")})
