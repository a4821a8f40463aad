"""Table evaluations: what people and other systems said of a trace. Writer: ingest."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.trace.evaluation import Evaluation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def insert(db: ClickHouse, evaluations: Sequence[Evaluation], stored_at: datetime) -> None:
    """Store results; the same evaluator's newer result for the same span replaces the older."""
    rows: list[dict[str, Any]] = []
    for evaluation in evaluations:
        row = asdict(evaluation)
        evaluated_at = _EPOCH + timedelta(microseconds=row.pop("time_ns") // 1000)
        rows.append(row | {"bad": evaluation.bad, "evaluated_at": evaluated_at, "stored_at": stored_at})
    await db.insert("evaluations", rows)


async def of_traces(db: ClickHouse, trace_ids: Sequence[str]) -> dict[str, list[Evaluation]]:
    """The results for these traces, by trace."""
    rows = await db.query(
        "SELECT trace_id, span_id, name, label, score, explanation, source,"
        " toUnixTimestamp64Nano(evaluated_at) AS time_ns"
        " FROM evaluations FINAL WHERE trace_id IN {ids:Array(String)} ORDER BY name, source",
        ids=list(trace_ids),
    )
    found: dict[str, list[Evaluation]] = {}
    for row in rows:
        found.setdefault(row["trace_id"], []).append(Evaluation(**row))
    return found
