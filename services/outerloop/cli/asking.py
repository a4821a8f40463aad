"""`outerloop label --ask`: the traces whose label would teach most, as a person can read them."""

from datetime import datetime, timedelta
from typing import Any

from outerloop.cli import output
from outerloop.cli.agents import check_known
from outerloop.cli.config import common
from outerloop.cli.publish import now
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import modes, spans, verdicts
from outerloop.store.verdicts import Verdict

SINCE = timedelta(days=30)
_TEXT = 300
_SURE_ENOUGH = 0.2


def ask(agent: str, count: int, *, as_json: bool) -> None:
    """Print `count` traces to label, the most telling first."""
    found = output.run(_asked(agent, count, now() - SINCE))
    if as_json:
        output.report(found, as_json=True, empty="")
        return
    if not found:
        output.say(f"there is no trace of {agent} of the last {SINCE.days} days without a label")
    for number, row in enumerate(found, 1):
        output.write(
            "\n".join(
                [
                    f"{number}. {row['trace_id']}  {row['why']}",
                    f"   user    {_line(row['request'])}",
                    f"   did     {', '.join(row['tools']) or 'no tool'}",
                    f"   agent   {_line(row['answer'])}",
                    f"   triage  score {row['score']:.2f}, {_thought(row)}",
                    f"   outerloop label {row['trace_id'][:12]} good|bad --why …",
                ]
            )
        )


async def _asked(agent: str, count: int, since: datetime) -> list[dict[str, Any]]:
    # Not at the top: other commands need not wait for numpy.
    from outerloop.triage.core.features import read  # noqa: PLC0415
    from outerloop.triage.core.teaching import Candidate, most_teaching  # noqa: PLC0415

    db = ClickHouse(common())
    try:
        check_known(agent, await verdicts.agents(db))
        scores = await verdicts.unlabelled(db, agent, since, max(200, 4 * count))
        traces = await spans.traces(db, list(scores))
        reads = {trace_id: read(trace) for trace_id, trace in traces.items()}
        asked = most_teaching([Candidate(each.run, scores[i]) for i, each in reads.items()], count)
        judged = await verdicts.of_traces(db, [each.trace_id for each in asked])
        rows = []
        for each in asked:
            verdict = judged[each.trace_id]
            mode = await modes.get(db, verdict.mode_id) if verdict.mode_id else None
            said = reads[each.trace_id].transcript
            rows.append(
                {
                    "trace_id": each.trace_id,
                    "agent": agent,
                    "score": verdict.score,
                    "failed": verdict.failed,
                    "detector": verdict.detector,
                    "mode": mode.title if mode else "",
                    "why": _why(each.doubt, verdict),
                    "doubt": round(each.doubt, 4),
                    "likeness": round(each.likeness, 4),
                    "request": said.user[0][1] if said.user else traces[each.trace_id].root.input,
                    "answer": said.said[-1][1] if said.said else traces[each.trace_id].answer,
                    "tools": list(verdict.tools),
                    "occurred_at": verdict.occurred_at,
                }
            )
        return rows
    finally:
        await db.close()


def _why(doubt: float, verdict: Verdict) -> str:
    if doubt > _SURE_ENOUGH:
        return f"{verdict.detector} is unsure of it"
    return "unlike the others: what looks sure may be wrong too"


def _thought(row: dict[str, Any]) -> str:
    return f"a failure: {_line(row['mode'])}" if row["failed"] else "no failure"


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _TEXT else one[:_TEXT] + "…"
