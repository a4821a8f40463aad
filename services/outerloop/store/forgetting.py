"""Deleting what production said, for one person: the rows of traces, and of what was made from them.

Apart from merging and retention (retention.py), the only place that takes rows away: at a person's command.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import evals
from outerloop.store.evals import EvalRecord

# Who a span was for: OpenTelemetry's names (registry of attributes), OpenInference's and Langfuse's.
USER_KEYS = ("user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id")
# Tables with a row a trace or a span, and the column with the trace's id.
OF_TRACES = {
    "otel_traces": "TraceId",
    "evaluations": "trace_id",
    "settlements": "trace_id",
    "verdicts": "trace_id",
    "judged_traces": "trace_id",
    "labels": "trace_id",
    "judge_opinions": "trace_id",
    "trace_outliers": "trace_id",
}
# Tables with what was made from an eval: its text, its runs, what a model was shown of it and answered.
OF_EVALS = ("evals", "heldout", "trials", "draft_calls", "changes", "harness_sessions")
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of somebody: ids of traces, and the evals that quote one of them."""

    traces: tuple[str, ...]
    evals: tuple[EvalRecord, ...]


async def find(db: ClickHouse, *, agent: str, session: str, user: str) -> Found:
    """The traces of a session or a user ("" for either that is not meant) with this agent ("": any)."""
    keys = " OR ".join(
        f"SpanAttributes['{key}'] = {{user:String}} OR ResourceAttributes['{key}'] = {{user:String}}"
        for key in USER_KEYS
    )
    rows = await db.query(
        "SELECT DISTINCT TraceId AS id FROM otel_traces"  # noqa: S608 - keys are ours
        " WHERE ({session:String} != '' AND SessionId = {session:String})"
        f" OR ({{user:String}} != '' AND ({keys})) ORDER BY id",
        session=session,
        user=user,
    )
    ids = [row["id"] for row in rows]
    if agent:
        ids = await _of_agent(db, agent, ids)
    quoting = await _quoting(db, set(ids))
    records = await evals.of_agent(db, agent)
    return Found(tuple(ids), tuple(r for r in records if r.eval_id in quoting))


async def forget(db: ClickHouse, found: Found) -> dict[str, int]:
    """Delete the rows of what was found, `otel_traces` last: begun again after a crash, it finds the rest.

    Returns how many rows of each table there were, and is done when ClickHouse has rewritten its parts.
    """
    quoting = [record.eval_id for record in found.evals]
    deleted = {}
    if quoting:
        changes = "SELECT change_id FROM changes WHERE eval_id IN {ids:Array(String)}"
        deleted["harness_steps"] = await _delete(db, "harness_steps", f"change_id IN ({changes})", quoting)
        for table in OF_EVALS:
            deleted[table] = await _delete(db, table, "eval_id IN {ids:Array(String)}", quoting)
    deleted["detectors"] = 0
    for some in _parts(found.traces):
        # What it has learned from is in it; triage learns another one from the labels that stay.
        where = "arrayExists(i -> position(state, i) > 0, {ids:Array(String)})"
        deleted["detectors"] += await _delete(db, "detectors", where, some)
    for table, column in reversed(OF_TRACES.items()):
        deleted[table] = 0
        for some in _parts(found.traces):
            deleted[table] += await _delete(db, table, f"{column} IN {{ids:Array(String)}}", some)
    return deleted


async def _delete(db: ClickHouse, table: str, where: str, ids: Sequence[str]) -> int:
    (row,) = await db.query(f"SELECT count() AS n FROM {table} WHERE {where}", ids=list(ids))  # noqa: S608 - ours
    if row["n"]:
        # On all replicas before it returns: what is said to be gone is gone.
        await db.command(
            f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2", ids=list(ids)
        )
    return int(row["n"])


async def _quoting(db: ClickHouse, traces: set[str]) -> set[str]:
    """The evals whose text, or that of a held-out variant, names one of these traces as its source."""
    rows = await db.query(
        "SELECT eval_id, eval_yaml AS text FROM evals FINAL UNION ALL"
        " SELECT eval_id, variant_yaml FROM heldout FINAL"
    )
    return {row["eval_id"] for row in rows if any(trace in row["text"] for trace in traces)}


async def _of_agent(db: ClickHouse, agent: str, ids: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for some in _parts(ids):
        rows = await db.query(
            "SELECT DISTINCT TraceId AS id FROM otel_traces"
            " WHERE TraceId IN {ids:Array(String)} AND AgentName = {agent:String} ORDER BY id",
            ids=list(some),
            agent=agent,
        )
        kept += [row["id"] for row in rows]
    return kept


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
